#include "pool.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <string>

#include "pause.h"

namespace pagoda {
namespace {

// Of the number of units, and of those taken: a prompt's rows by the panels of a large head are a million. The rest number
// the jobs, modulo 2^16: who comes that late takes from the job that there is.
constexpr int BITS = 24;
constexpr uint64_t MASK = (uint64_t(1) << BITS) - 1;

uint64_t num_units(uint64_t state) { return (state >> BITS) & MASK; }
uint64_t num_taken(uint64_t state) { return state & MASK; }

// How long a thread looks for the next job before it sleeps. Between two kernels of a step pass microseconds; between two
// steps the scheduler runs, and a core that only waits is somebody else's.
constexpr auto PATIENCE = std::chrono::microseconds(200);
constexpr int LOOKS = 64;  // between two looks at the clock, which cost more than those at the job

}  // namespace

Pool::Pool(int num_threads) : num_threads_(num_threads < 1 ? 1 : num_threads) {
    for (int thread = 1; thread < num_threads_; ++thread) threads_.emplace_back([this, thread] { work(thread); });
}

Pool::~Pool() {
    is_closed_.store(true);
    // A job of no units: its number wakes whoever waits for the next.
    state_.fetch_add(uint64_t(1) << (2 * BITS));
    state_.notify_all();
    for (auto& thread : threads_) thread.join();
}

void Pool::run(int num, Units units, void* job) {
    if (num_threads_ == 1 || num == 1) return units(job, 0, num, 0);
    if (uint64_t(num) > MASK) throw std::length_error(std::to_string(num) + " units of a job");
    units_ = units;
    job_ = job;
    num_done_.store(0, std::memory_order_relaxed);
    const uint64_t number = (state_.load(std::memory_order_relaxed) >> (2 * BITS)) + 1;
    state_.store((number << (2 * BITS)) | (uint64_t(num) << BITS));
    if (num_asleep_.load() > 0) state_.notify_all();
    while (take_some(0)) {
    }
    const auto began = std::chrono::steady_clock::now();
    while (num_done_.load(std::memory_order_acquire) < num) {
        pause();
        // Whoever has the last unit was put aside by the system: let it run, perhaps on this very core.
        if (std::chrono::steady_clock::now() - began > PATIENCE) std::this_thread::yield();
    }
}

bool Pool::take_some(int thread) {
    uint64_t state = state_.load(std::memory_order_acquire);
    uint64_t first, count;
    do {
        first = num_taken(state);
        if (first >= num_units(state)) return false;
        // Large shares at first, single units at the end, where a slow thread would be waited for.
        count = std::max<uint64_t>(1, (num_units(state) - first) / uint64_t(2 * num_threads_));
    } while (!state_.compare_exchange_weak(state, state + count, std::memory_order_acq_rel));
    // The units are ours, and their job stays until they are done.
    units_(job_, int(first), int(first + count), thread);
    num_done_.fetch_add(int(count), std::memory_order_release);
    return true;
}

void Pool::work(int thread) {
    while (!is_closed_.load(std::memory_order_relaxed)) {
        const uint64_t seen = state_.load(std::memory_order_acquire);
        if (!take_some(thread)) wait_for_work(seen);
    }
}

void Pool::wait_for_work(uint64_t seen) {
    // What was seen may have had its last unit taken since; only a new job's number counts as news.
    const uint64_t number = seen >> (2 * BITS);
    const auto began = std::chrono::steady_clock::now();
    uint64_t state = state_.load(std::memory_order_acquire);
    int looks = 0;
    while (state >> (2 * BITS) == number && num_taken(state) >= num_units(state)) {
        if (looks++ % LOOKS == LOOKS - 1 && std::chrono::steady_clock::now() - began > PATIENCE) {
            num_asleep_.fetch_add(1);
            state_.wait(state);
            num_asleep_.fetch_sub(1);
        }
        pause();
        state = state_.load(std::memory_order_acquire);
    }
}

}  // namespace pagoda
