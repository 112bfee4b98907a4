// Ranks of one host: processes that share a piece of memory, add up numbers in it and pass rows on.
//
// Under `decoder.cpp` and the layers of Python, twice in every decoder layer. Sums over ranks are those of a balanced tree,
// ((0 + 1) + (2 + 3)), in floats, whoever computes them: every rank gets the same bits, run after run. Whoever waits looks
// for some microseconds, lets others run, then sleeps (futex); a flag in the memory sends everybody home, so that the end of
// one rank is never waited for by another. Whoever made the memory gives it zeroed to a new set of ranks.

#pragma once

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "ops.h"

namespace pagoda {

// Raised out of whatever waits once `abort` was called.
struct Aborted : std::runtime_error {
    Aborted() : std::runtime_error("the ranks were told to stop while they waited for one another") {}
};

// A number that one process raises and others wait for, in shared memory. Numbers may run over.
struct alignas(64) Signal {
    std::atomic<uint32_t> count, num_asleep;

    void post(uint32_t value);
    // Until count has reached `wanted`. Raises Aborted.
    void wait(uint32_t wanted, const std::atomic<uint32_t>& aborted);
};

class Ranks {
public:
    // Bytes of memory for so many ranks, each with rooms of `capacity` bytes for what it contributes.
    static int64_t segment_bytes(int size, int64_t capacity);

    // All ranks make the same calls in the same order, with as many elements.
    Ranks(void* segment, int rank, int size, int64_t capacity);

    // Memory for a contribution of so many bytes, which need not be copied then; null where there is none so large.
    void* room(int64_t bytes);

    // y [n] = the ranks' x [n], added up; y may be x.
    void all_reduce(const void* x, void* y, int64_t n, DType dtype);

    // y [rows, width] += sum of the ranks' x + bias [width] or null, each rounded to `dtype` as it would be by itself.
    void add_sum(const void* x, const void* bias, void* y, int64_t rows, int64_t width, DType dtype);

    // y [rows, all bytes] = the ranks' x [rows, row_bytes[rank]] side by side.
    void all_gather(const void* x, int64_t rows, const std::vector<int64_t>& row_bytes, void* y);

    void abort();

private:
    struct Sum;
    char* room_of(int rank, uint32_t turn) const;
    void meet();
    void sum_chunk(const Sum& sum, int64_t first, int64_t last);
    void run(const Sum& sum, int64_t n);

    struct Header;
    Header* const header_;
    char* const rooms_;
    const int rank_, size_;
    const int64_t capacity_;
    uint32_t turn_ = 0, num_meetings_ = 0;
};

// Rows from one process to one other, in order: a stage of a pipeline fills what the next one empties.
class Channel {
public:
    static int64_t segment_bytes(int64_t capacity);

    explicit Channel(void* segment, int64_t capacity);
    // The receiver asks for as many bytes as are sent. Raise Aborted.
    void send(const void* bytes, int64_t count);
    void receive(void* bytes, int64_t count);
    void abort();

private:
    struct Header;
    Header* const header_;
    char* const rooms_;
    const int64_t capacity_;
    uint32_t num_passed_ = 0;
};

}  // namespace pagoda
