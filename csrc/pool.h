// The threads that share a kernel's work: made once, waiting on one number, never on each other.
//
// Under every kernel that is divided. A job is a number of units, each computed by whoever takes it, so that a thread whose
// core is busy elsewhere takes fewer and holds nobody up: only a unit that was begun is waited for. Which thread computes
// a unit changes no bit of it.

#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace pagoda {

class Pool {
public:
    typedef void (*Unit)(void* job, int unit, int thread);

    // num_threads includes whoever calls `run`.
    explicit Pool(int num_threads);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    int num_threads() const { return num_threads_; }

    // unit(job, i, thread) for each i below num_units; returns when all are done. Not to be called from two threads at once,
    // nor from within a unit.
    void run(int num_units, Unit unit, void* job);

    // The same for anything that can be called with (unit, thread).
    template <typename Function>
    void each(int num_units, Function function) {
        run(num_units, [](void* job, int unit, int thread) { (*static_cast<Function*>(job))(unit, thread); }, &function);
    }

private:
    void work(int thread);
    bool take_one(int thread);
    void wait_for_work(uint64_t seen);

    const int num_threads_;
    Unit unit_ = nullptr;
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
