#include "asym_w4a8_int8_kernels.hpp"

#include <halftone/toolbox/hadamard.hpp>

namespace halftone::asym_w4a8_int8::HALFTONE_CPU_LEVEL {

namespace {

using toolbox::bits_of, toolbox::float_of;

constexpr float least_scale = 1e-8f;

// Pieces that go through the levels together. Groups are 4, 8 or a multiple of 16 long.
constexpr size_t piece = 8;

HT_DEVICE float size_of(float x) {
    return float_of(bits_of(x) & 0x7FFFFFFF);
}

template <size_t n>
HT_DEVICE void values_of(const float (&t)[n], LevelView levels, float (&values)[n]) {
    for (size_t k = 0; k < n; ++k)
        values[k] = levels.level[0];
    for (size_t i = 0; i < 15; ++i) {
        const float upper = levels.upper[i], next = levels.level[i + 1];
        for (size_t k = 0; k < n; ++k)
            values[k] = t[k] > upper ? next : values[k];
    }
}

// Sums over a group as PyTorch makes them on its CPUs of 8 numbers to a register: 4 sums of registers, what
// is left over goes to the first of them, and then number by number.
struct GroupSum {
    float part[4][piece] = {};
    size_t registers, whole;

    HT_DEVICE explicit GroupSum(size_t n) : registers(n / piece), whole(registers / 4 * 4) {}
    HT_DEVICE void add(size_t at, const float (&x)[piece]) {
        float(&to)[piece] = part[at < whole ? at % 4 : 0];
        for (size_t k = 0; k < piece; ++k)
            to[k] += x[k];
    }
    HT_DEVICE float total() {
        float sum = 0;
        for (size_t i = 1; i < 4; ++i)
            for (size_t k = 0; k < piece; ++k)
                part[0][k] += part[i][k];
        for (size_t k = 0; k < piece; ++k)
            sum += part[0][k];
        return sum;
    }
};

// visit(place, x, n) for pieces; a shorter one is filled up with zeros.
template <class Visit>
HT_DEVICE void each_piece(const float* x, size_t n, Visit visit) {
    for (size_t i = 0; i < n; i += piece) {
        float part[piece] = {};
        const size_t m = n - i < piece ? n - i : piece;
        for (size_t k = 0; k < m; ++k)
            part[k] = x[i + k];
        visit(i, part, m);
    }
}

float largest(const float* x, size_t n) {
    uint32_t most = 0;
    for (size_t i = 0; i < n; ++i) {
        const uint32_t size = bits_of(x[i]) & 0x7FFFFFFF;
        most = size > most ? size : most;
    }
    return float_of(most);
}

// Least squares between codes given and scales found, twice.
float fit(const float* x, size_t n, LevelView book, float* most) {
    const float amax = largest(x, n);
    float scale = amax > least_scale ? amax : least_scale;
    for (int round = 0; round < 2; ++round) {
        GroupSum products(n), squares(n);
        each_piece(x, n, [&](size_t i, const float(&part)[piece], size_t m) {
            float t[piece], c[piece], product[piece], square[piece];
            for (size_t k = 0; k < piece; ++k)
                t[k] = part[k] / scale;
            values_of(t, book, c);
            for (size_t k = 0; k < piece; ++k) {
                product[k] = k < m ? part[k] * c[k] : 0;
                square[k] = k < m ? c[k] * c[k] : 0;
            }
            products.add(i / piece, product);
            squares.add(i / piece, square);
        });
        const float below = squares.total(), found = products.total() / (below > 1e-8f ? below : 1e-8f);
        if (found <= float_of(0x7F7FFFFF)) scale = found > least_scale ? found : least_scale;
    }
    float farthest = 0;
    each_piece(x, n, [&](size_t, const float(&part)[piece], size_t m) {
        float t[piece], c[piece];
        for (size_t k = 0; k < piece; ++k)
            t[k] = part[k] / scale;
        values_of(t, book, c);
        for (size_t k = 0; k < m; ++k)
            farthest = size_of(c[k]) > farthest ? size_of(c[k]) : farthest;
    });
    *most = farthest * scale;
    return scale;
}

HT_DEVICE float in_steps(float x, float step, float offset) {
    return step > 0 ? (x - offset) / step : 0.0f;
}

void encode(const float* x, size_t n, float step, float offset, LevelView levels, uint8_t* codes) {
    each_piece(x, n, [&](size_t i, const float(&part)[piece], size_t m) {
        float t[piece];
        int32_t code[piece] = {};
        for (size_t k = 0; k < piece; ++k)
            t[k] = in_steps(part[k], step, offset);
        for (size_t j = 0; j < 15; ++j)
            for (size_t k = 0; k < piece; ++k)
                code[k] += t[k] > levels.upper[j] ? 1 : 0;
        for (size_t k = 0; k < m; ++k)
            codes[i + k] = static_cast<uint8_t>(code[k]);
    });
}

void decode(const uint8_t* codes, size_t n, float step, float offset, LevelView levels, float* values) {
    for (size_t i = 0; i < n; ++i)
        values[i] = levels.level[codes[i]] * step + offset;
}

void snap(const float* x, size_t n, float step, float offset, LevelView levels, float* values) {
    each_piece(x, n, [&](size_t i, const float(&part)[piece], size_t m) {
        float t[piece], found[piece];
        for (size_t k = 0; k < piece; ++k)
            t[k] = in_steps(part[k], step, offset);
        values_of(t, levels, found);
        for (size_t k = 0; k < m; ++k)
            values[i + k] = found[k] * step + offset;
    });
}

void around(const float* x, size_t n, float step, float offset, LevelView levels, float* lo, float* hi) {
    const float least = levels.level[0] * step + offset, most = levels.level[15] * step + offset;
    for (size_t i = 0; i < n; ++i) {
        const float at = x[i];
        float less = least, more = most;
        for (size_t j = 0; j < 16; ++j) {
            const float value = levels.level[j] * step + offset;
            less = value <= at && value > less ? value : less;
            more = value >= at && value < more ? value : more;
        }
        lo[i] = at > most ? most : less;
        hi[i] = at < least ? least : more;
    }
}

// In steps, of what is stored.
float squared_error(const float* x, const float* weight, size_t n, float step, LevelView levels) {
    GroupSum errors(n);
    each_piece(x, n, [&](size_t i, const float(&part)[piece], size_t m) {
        float t[piece], found[piece], error[piece] = {};
        for (size_t k = 0; k < piece; ++k)
            t[k] = in_steps(part[k], step, 0);
        values_of(t, levels, found);
        for (size_t k = 0; k < m; ++k) {
            const float away = t[k] - found[k], square = away * away;
            error[k] = weight ? weight[i + k] * square : square;
        }
        errors.add(i / piece, error);
    });
    return errors.total();
}

}  // namespace

const Kernels kernels = {largest, fit, encode, decode, snap, around, squared_error, toolbox::loops::hadamard};

}  // namespace halftone::asym_w4a8_int8::HALFTONE_CPU_LEVEL
