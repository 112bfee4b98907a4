// What a core does while it looks at one number again and again: threads of a pool and ranks of a host wait so.

#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace pagoda {

inline void pause() {
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

}  // namespace pagoda
