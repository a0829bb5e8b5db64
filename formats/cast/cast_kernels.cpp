#include "cast_kernels.hpp"

#include <cstring>

namespace halftone::cast::HALFTONE_CPU_LEVEL {

template <class Element>
static void encode(const float* x, size_t n, uint8_t* codes) {
    HT_INDEPENDENT
    for (size_t i = 0; i < n; ++i) {
        const typename Element::Code code = Element::encode(x[i]);
        std::memcpy(codes + i * sizeof code, &code, sizeof code);
    }
}

template <class Element>
static void decode(const uint8_t* codes, size_t n, float* values) {
    HT_INDEPENDENT
    for (size_t i = 0; i < n; ++i) {
        typename Element::Code code;
        std::memcpy(&code, codes + i * sizeof code, sizeof code);
        values[i] = Element::decode(code);
    }
}

template <class Element>
static void snap(const float* x, size_t n, float* values) {
    HT_INDEPENDENT
    for (size_t i = 0; i < n; ++i)
        values[i] = Element::decode(Element::encode(x[i]));
}

template <class Element>
static void around(const float* x, size_t n, float* lo, float* hi) {
    HT_INDEPENDENT
    for (size_t i = 0; i < n; ++i) {
        float less, more;
        cast::around<Element>(x[i], less, more);
        lo[i] = less;
        hi[i] = more;
    }
}

template <class Element>
static constexpr Loops loops() {
    return {sizeof(typename Element::Code), encode<Element>, decode<Element>, snap<Element>, around<Element>};
}

const Kernels kernels = {{loops<toolbox::Bf16>(), loops<toolbox::F16>(), loops<toolbox::F32>(),
                          loops<toolbox::E4m3fn>(), loops<toolbox::E5m2>()}};

}  // namespace halftone::cast::HALFTONE_CPU_LEVEL
