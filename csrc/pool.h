// The threads that share a kernel's work: made once, waiting on one number, never on each other.
//
// Under every kernel that is divided. A job is a number of units, taken by whoever is free, many at first and few at the
// end, so that a thread whose core is busy elsewhere takes fewer and holds nobody up: only what was begun is waited for.
// Which thread computes a unit changes no bit of it.

#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace pagoda {

class Pool {
public:
    typedef void (*Units)(void* job, int first, int last, int thread);

    // num_threads includes whoever calls `run`.
    explicit Pool(int num_threads);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    int num_threads() const { return num_threads_; }

    // units(job, first, last, thread) for ranges that make up all units below num_units; returns when all are done. Not to
    // be called from two threads at once, nor from within a unit.
    void run(int num_units, Units units, void* job);

    // The same for anything that can be called with (first, last, thread).
    template <typename Function>
    void ranges(int num_units, Function function) {
        const auto call = [](void* job, int first, int last, int thread) {
            (*static_cast<Function*>(job))(first, last, thread);
        };
        run(num_units, call, &function);
    }

    // And for what is called with (unit, thread).
    template <typename Function>
    void each(int num_units, Function function) {
        ranges(num_units, [&function](int first, int last, int thread) {
            for (int unit = first; unit < last; ++unit) function(unit, thread);
        });
    }

private:
    void work(int thread);
    bool take_some(int thread);
    void wait_for_work(uint64_t seen);

    const int num_threads_;
    Units units_ = nullptr;
    void* job_ = nullptr;
    // Which job, how many units it has and how many were taken, in one word: a thread that comes late sees that nothing is
    // left, and can neither take from the next job by the last one's numbers nor the other way round.
    alignas(64) std::atomic<uint64_t> state_{0};
    alignas(64) std::atomic<int> num_done_{0};
    alignas(64) std::atomic<int> num_asleep_{0};
    std::atomic<bool> is_closed_{false};
    std::vector<std::thread> threads_;
};

}  // namespace pagoda
