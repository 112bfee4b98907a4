#include "ranks.h"

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstring>
#include <thread>

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#endif

#include "numbers.h"
#include "pause.h"

namespace pagoda {
namespace {

typedef std::chrono::steady_clock Clock;

// Between two sums of a step pass tens of microseconds, between two steps the scheduler runs.
constexpr auto LOOKING = std::chrono::microseconds(50), YIELDING = std::chrono::microseconds(250);
constexpr int64_t SLEEP_NS = 50'000'000;  // after which a sleeper looks at the flag again, whoever forgot to wake it
constexpr int MAX_RANKS = 64, BLOCK = 256, CHANNEL_ROOMS = 4;
constexpr int64_t HEADER_BYTES = 8192;
// Up to so many bytes each rank adds all contributions itself; above, each its slice, for one meeting more. Of two ranks
// either way reads as much of the other's.
constexpr int64_t SMALL = 64 << 10;

void sleep_on(std::atomic<uint32_t>& count, uint32_t seen) {
#if defined(__linux__)
    const timespec timeout{0, SLEEP_NS};
    syscall(SYS_futex, reinterpret_cast<uint32_t*>(&count), FUTEX_WAIT, seen, &timeout, nullptr, 0);
#else
    (void)count, (void)seen;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
#endif
}

void wake_all(std::atomic<uint32_t>& count) {
#if defined(__linux__)
    syscall(SYS_futex, reinterpret_cast<uint32_t*>(&count), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
#else
    (void)count;
#endif
}

bool has_reached(uint32_t count, uint32_t wanted) { return int32_t(count - wanted) >= 0; }

INLINE float widened(float x) { return x; }
INLINE float widened(uint16_t x) { return as_float(x); }
INLINE void round_into(float& y, float x) { y = x; }
INLINE void round_into(uint16_t& y, float x) { y = as_bf16(x); }

// out [n] = parts [first .. first + count) at `offset`, added as a balanced tree; n is at most BLOCK.
template <typename T>
void add_tree(const char* const* parts, int first, int count, int64_t offset, int64_t n, float* out) {
    if (count == 1) {
        const T* x = reinterpret_cast<const T*>(parts[first]) + offset;
        for (int64_t i = 0; i < n; ++i) out[i] = widened(x[i]);
        return;
    }
    float right[BLOCK];
    add_tree<T>(parts, first, count / 2, offset, n, out);
    add_tree<T>(parts, first + count / 2, count - count / 2, offset, n, right);
    for (int64_t i = 0; i < n; ++i) out[i] += right[i];
}

template <typename T>
void store_sums(const char* const* parts, int count, int64_t offset, int64_t n, T* y) {
    float sums[BLOCK];
    for (int64_t done = 0; done < n; done += BLOCK) {
        const int64_t some = std::min<int64_t>(BLOCK, n - done);
        add_tree<T>(parts, 0, count, offset + done, some, sums);
        for (int64_t i = 0; i < some; ++i) round_into(y[done + i], sums[i]);
    }
}

}  // namespace

void Signal::post(uint32_t value) {
    count.store(value);
    if (num_asleep.load() > 0) wake_all(count);
}

void Signal::wait(uint32_t wanted, const std::atomic<uint32_t>& aborted) {
    uint32_t seen = count.load(std::memory_order_acquire);
    if (has_reached(seen, wanted)) return;
    const auto began = Clock::now();
    for (int looks = 0; !has_reached(seen, wanted); ++looks, seen = count.load(std::memory_order_acquire)) {
        if (aborted.load(std::memory_order_relaxed)) throw Aborted();
        pause();
        if (looks % 32 != 31) continue;  // a look at the clock costs more than one at the number
        const auto waited = Clock::now() - began;
        if (waited < LOOKING) continue;
        if (waited < YIELDING) {
            std::this_thread::yield();
            continue;
        }
        num_asleep.fetch_add(1);
        if (const uint32_t now = count.load(); !has_reached(now, wanted)) sleep_on(count, now);
        num_asleep.fetch_sub(1);
    }
}

struct Ranks::Header {
    alignas(64) std::atomic<uint32_t> aborted;
    Signal arrived[MAX_RANKS];
};

// What becomes of the ranks' contributions x: y = sum, or, with a width, y += rounded sum (+ bias).
struct Ranks::Sum {
    const char* x;
    char* y;
    DType dtype;
    const char* bias;
    int64_t width;  // 0: y is the sum itself
};

int64_t Ranks::segment_bytes(int size, int64_t capacity) {
    static_assert(sizeof(Header) <= HEADER_BYTES);
    return HEADER_BYTES + 2 * size * capacity;
}

Ranks::Ranks(void* segment, int rank, int size, int64_t capacity)
    : header_(static_cast<Header*>(segment)),
      rooms_(static_cast<char*>(segment) + HEADER_BYTES),
      rank_(rank),
      size_(size),
      capacity_(capacity) {
    if (size < 1 || size > MAX_RANKS || rank < 0 || rank >= size) throw std::out_of_range("a rank below 64 is expected");
}

// Two of each rank, in turn: who fills the next one has met all others since the last use of it, so none still reads it.
char* Ranks::room_of(int rank, uint32_t turn) const { return rooms_ + ((turn % 2) * size_ + rank) * capacity_; }

void* Ranks::room(int64_t bytes) { return bytes <= capacity_ ? room_of(rank_, turn_) : nullptr; }

// Returns when all ranks are here: what they wrote before can be read.
void Ranks::meet() {
    header_->arrived[rank_].post(++num_meetings_);
    for (int rank = 0; rank < size_; ++rank)
        if (rank != rank_) header_->arrived[rank].wait(num_meetings_, header_->aborted);
}

void Ranks::abort() {
    header_->aborted.store(1);
    for (int rank = 0; rank < size_; ++rank) wake_all(header_->arrived[rank].count);
}

void Ranks::all_reduce(const void* x, void* y, int64_t n, DType dtype) {
    run({static_cast<const char*>(x), static_cast<char*>(y), dtype, nullptr, 0}, n);
}

void Ranks::add_sum(const void* x, const void* bias, void* y, int64_t rows, int64_t width, DType dtype) {
    run({static_cast<const char*>(x), static_cast<char*>(y), dtype, static_cast<const char*>(bias), width}, rows * width);
}

void Ranks::run(const Sum& sum, int64_t n) {
    const int64_t at_once = capacity_ / element_bytes(sum.dtype);
    for (int64_t first = 0; first < n; first += at_once) sum_chunk(sum, first, std::min(first + at_once, n));
}

namespace {

// y [first .. last) of rows of `width`: += the rounded sums, each with its row's bias.
template <typename T>
void add_sums(const char* const* parts, int count, const T* bias, int64_t width, int64_t first, int64_t last, T* y) {
    T sums[BLOCK];
    for (int64_t at = first; at < last;) {
        const int64_t column = at % width, some = std::min({int64_t(BLOCK), last - at, width - column});
        store_sums(parts, count, at - first, some, sums);
        if (bias != nullptr)
            for (int64_t i = 0; i < some; ++i) round_into(sums[i], widened(sums[i]) + widened(bias[column + i]));
        for (int64_t i = 0; i < some; ++i) round_into(y[at + i], widened(y[at + i]) + widened(sums[i]));
        at += some;
    }
}

template <typename T>
void finish(const char* const* parts, int count, const char* bias, int64_t width, int64_t first, int64_t last, char* y) {
    T* out = reinterpret_cast<T*>(y);
    if (width > 0)
        add_sums<T>(parts, count, reinterpret_cast<const T*>(bias), width, first, last, out);
    else
        store_sums<T>(parts, count, 0, last - first, out + first);
}

}  // namespace

void Ranks::sum_chunk(const Sum& sum, int64_t first, int64_t last) {
    const int64_t bytes = element_bytes(sum.dtype), n = last - first;
    char* own = room_of(rank_, turn_);
    const char* x = sum.x + first * bytes;
    if (x != own) std::memcpy(own, x, size_t(n * bytes));
    const char* parts[MAX_RANKS];
    for (int rank = 0; rank < size_; ++rank) parts[rank] = room_of(rank, turn_);
    meet();
    int count = size_;
    if (size_ > 2 && n * bytes > SMALL) {
        // A slice each, put where only this rank reads; then the slices are all there is to be read.
        const auto border = [&](int rank) { return n * rank / size_; };
        const int64_t from = border(rank_), some = border(rank_ + 1) - from;
        if (sum.dtype == DType::BF16)
            store_sums(parts, size_, from, some, reinterpret_cast<uint16_t*>(own) + from);
        else
            store_sums(parts, size_, from, some, reinterpret_cast<float*>(own) + from);
        meet();
        count = 1;
        for (int rank = 0; rank < size_; ++rank) {
            const char* slice = parts[rank] + border(rank) * bytes;
            const int64_t begin = first + border(rank), end = first + border(rank + 1);
            if (sum.dtype == DType::BF16)
                finish<uint16_t>(&slice, count, sum.bias, sum.width, begin, end, sum.y);
            else
                finish<float>(&slice, count, sum.bias, sum.width, begin, end, sum.y);
        }
    } else if (sum.dtype == DType::BF16) {
        finish<uint16_t>(parts, count, sum.bias, sum.width, first, last, sum.y);
    } else {
        finish<float>(parts, count, sum.bias, sum.width, first, last, sum.y);
    }
    ++turn_;
}

void Ranks::all_gather(const void* x, int64_t rows, const std::vector<int64_t>& row_bytes, void* y) {
    int64_t total = 0, widest = 1;
    for (const int64_t bytes : row_bytes) total += bytes, widest = std::max(widest, bytes);
    // Rows by as many as fit; of a row that does not, one piece after another.
    const int64_t piece = std::min(widest, capacity_), at_once = std::max<int64_t>(1, capacity_ / piece);
    const char* from = static_cast<const char*>(x);
    char* to = static_cast<char*>(y);
    for (int64_t row = 0; row < rows; row += at_once) {
        const int64_t some = std::min(at_once, rows - row);
        for (int64_t at = 0; at < widest; at += piece) {
            const auto width = [&](int rank) { return std::clamp<int64_t>(row_bytes[rank] - at, 0, piece); };
            char* own = room_of(rank_, turn_);
            for (int64_t i = 0; i < some; ++i)
                std::memcpy(own + i * width(rank_), from + (row + i) * row_bytes[rank_] + at, size_t(width(rank_)));
            meet();
            int64_t column = at;
            for (int rank = 0; rank < size_; column += row_bytes[rank++])
                for (int64_t i = 0; i < some; ++i)
                    std::memcpy(to + (row + i) * total + column, room_of(rank, turn_) + i * width(rank), size_t(width(rank)));
            ++turn_;
        }
    }
}

struct Channel::Header {
    alignas(64) std::atomic<uint32_t> aborted;
    Signal filled, emptied;
};

int64_t Channel::segment_bytes(int64_t capacity) { return HEADER_BYTES + CHANNEL_ROOMS * capacity; }

Channel::Channel(void* segment, int64_t capacity)
    : header_(static_cast<Header*>(segment)), rooms_(static_cast<char*>(segment) + HEADER_BYTES), capacity_(capacity) {}

void Channel::send(const void* bytes, int64_t count) {
    for (int64_t done = 0; done < count; done += capacity_) {
        header_->emptied.wait(num_passed_ + 1 - CHANNEL_ROOMS, header_->aborted);
        std::memcpy(rooms_ + num_passed_ % CHANNEL_ROOMS * capacity_, static_cast<const char*>(bytes) + done,
                    size_t(std::min(capacity_, count - done)));
        header_->filled.post(++num_passed_);
    }
}

void Channel::receive(void* bytes, int64_t count) {
    for (int64_t done = 0; done < count; done += capacity_) {
        header_->filled.wait(num_passed_ + 1, header_->aborted);
        std::memcpy(static_cast<char*>(bytes) + done, rooms_ + num_passed_ % CHANNEL_ROOMS * capacity_,
                    size_t(std::min(capacity_, count - done)));
        header_->emptied.post(++num_passed_);
    }
}

void Channel::abort() {
    header_->aborted.store(1);
    wake_all(header_->filled.count);
    wake_all(header_->emptied.count);
}

}  // namespace pagoda
