// The C++20 face of an optimizer (draft, like optimizer.h, where each function's meaning stands). Write a
// class:
//
//     class Integral {
//       public:
//         static constexpr halftone::PluginInfo info{"acme.integral", "1.0.0", "feeds errors back", "MIT"};
//         static constexpr ht_option options[] = {...};
//         static constexpr const ht_op* ops[] = {&step};        // left out if there are none
//         static uint32_t matrices(const halftone::Options&);   // of the weights' size
//         static void minimize(halftone::Problem&, const halftone::Options&);   // may throw
//     };
//     HALFTONE_OPTIMIZER(Integral)
#pragma once

#include <array>
#include <initializer_list>

#include <halftone/ext/draft/optimizer.h>
#include <halftone/plugin.hpp>

namespace halftone {
inline namespace v1 {

// The problem, with errors thrown instead of returned. Matrices and numbers are handles.
class Problem {
  public:
    explicit Problem(const ht_problem& problem) : p_(problem) {}

    bool square() const { return p_.rows == p_.cols; }
    bool orthonormal() const { return (p_.flags & HT_PROBLEM_ORTHONORMAL) != 0; }

    ht_mat matrix(uint64_t rows, uint64_t cols) {
        ht_mat made = 0;
        check(p_.mat(p_.self, rows, cols, &made));
        return made;
    }
    ht_mat like_weights() { return matrix(p_.rows, p_.cols); }
    ht_mat like_projection() { return matrix(p_.p_rows, p_.p_cols); }
    ht_num number(double initial = 0) {
        ht_num made = 0;
        check(p_.num(p_.self, initial, &made));
        return made;
    }

    void copy(ht_mat to, ht_mat from) { check(p_.copy(p_.self, to, from)); }
    void gemm(ht_num alpha, ht_mat a, bool ta, ht_mat b, bool tb, ht_num beta, ht_mat c) {
        check(p_.gemm(p_.self, alpha, a, ta, b, tb, beta, c));
    }
    void factor(int32_t what, ht_mat a, ht_mat out) { check(p_.factor(p_.self, what, a, out)); }
    void project(ht_mat a, ht_space space, ht_mat p, ht_num norm) {
        check(p_.project(p_.self, a, space, p, norm));
    }
    void project_stored(ht_mat a, ht_space space, ht_mat p, ht_num norm) {
        check(p_.project_stored(p_.self, a, space, p, norm));
    }
    void lift_add(ht_mat to, ht_num alpha, ht_mat p) { check(p_.lift_add(p_.self, to, alpha, p)); }
    void apply(const ht_op& op, std::initializer_list<ht_mat> mats, std::initializer_list<ht_num> nums,
               ht_mat p = 0) {
        check(p_.apply(p_.self, &op, mats.begin(), static_cast<uint32_t>(mats.size()), nums.begin(),
                       static_cast<uint32_t>(nums.size()), p));
    }
    void propose(ht_mat a, ht_space space) { check(p_.propose(p_.self, a, space)); }
    void refit(ht_mat a) { check(p_.refit(p_.self, a)); }

    void set(ht_num number, double value) { check(p_.set(p_.self, number, value)); }
    double read(ht_num from) {
        double value = 0;
        check(p_.read(p_.self, from, &value));
        return value;
    }
    bool stop() { return p_.stop(p_.self) != 0; }
    void stop_when(ht_num flag) { check(p_.stop_when(p_.self, flag)); }
    void trace(const char* name, ht_num value) { check(p_.trace(p_.self, name, value)); }

  private:
    static void check(ht_status status) {
        if (status != HT_OK) throw std::runtime_error("the host could not go on");  // it knows why
    }

    const ht_problem& p_;
};

namespace detail {

// The list that the ABI wants: NULL at its end.
template <class O>
struct Operations {
    static constexpr auto list = [] {
        if constexpr (requires { O::ops; }) {
            std::array<const ht_op*, std::size(O::ops) + 1> ops{};
            for (size_t i = 0; i < std::size(O::ops); ++i)
                ops[i] = O::ops[i];
            return ops;
        } else {
            return std::array<const ht_op*, 1>{};
        }
    }();
};

template <class O>
constexpr ht_optimizer make_optimizer_table() {
    ht_optimizer t{};
    t.size = sizeof t;
    t.ops = Operations<O>::list.data();
    t.mats = [](ht_values values) noexcept { return O::matrices(Options(options_of<O>(), values)); };
    t.minimize = [](const ht_problem* problem, ht_values values, ht_error* error) noexcept {
        return guarded(error, [&] {
            Problem lent(*problem);
            O::minimize(lent, Options(options_of<O>(), values));
        });
    };
    if constexpr (requires { &O::extension; })
        t.extension = [](const char* id) noexcept -> const void* { return O::extension(id); };
    return t;
}

template <class O>
inline constexpr ht_optimizer optimizer_table = make_optimizer_table<O>();

template <class O>
struct OptimizerOptions {
    static constexpr auto at = option_pointers<O>();
};

}  // namespace detail
}  // namespace v1
}  // namespace halftone

#define HALFTONE_OPTIMIZER(O)                                      \
    HT_PLUGIN = {sizeof(ht_plugin),                                \
                 HT_KIND_OPTIMIZER,                                \
                 O::info.host_minor,                               \
                 0,                                                \
                 O::info.id,                                       \
                 O::info.version,                                  \
                 O::info.summary,                                  \
                 O::info.license,                                  \
                 halftone::detail::OptimizerOptions<O>::at.data(), \
                 halftone::detail::OptimizerOptions<O>::at.size(), \
                 &halftone::detail::optimizer_table<O>,            \
                 halftone::detail::keep_host,                      \
                 halftone::detail::drop_host};
