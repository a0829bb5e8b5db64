#include "core/rounding/minimize.hpp"

#include <exception>
#include <utility>

#include "core/base/error.hpp"
#include "plugins/call.hpp"

namespace halftone {
namespace {

// A problem behind C functions. The first thing that is thrown is kept, and whatever is asked after it fails.
struct Lent {
    Problem& problem;
    const Optimizer& optimizer;
    std::exception_ptr thrown;
};

template <class Work>
ht_status guarded(void* self, Work&& work) noexcept {
    auto& lent = *static_cast<Lent*>(self);
    if (lent.thrown) return HT_FAILED;
    const os::HomeCall here;
    try {
        std::forward<Work>(work)(lent.problem);
        return HT_OK;
    } catch (...) {
        lent.thrown = std::current_exception();
        return HT_FAILED;
    }
}

// The plugin's fault, told with the function that it called.
[[noreturn]] void blame(const Lent& lent, const char* what) {
    fail(Exit::plugin, lent.optimizer.library().culprit(), "{}", what);
}

// A handle or a shape that makes no sense is the plugin's mistake, and the problem does not know its name.
[[noreturn]] void rethrow(const Lent& lent) {
    try {
        std::rethrow_exception(lent.thrown);
    } catch (const Error& error) {
        if (error.code() != Exit::plugin || !error.where().empty()) throw;
        blame(lent, error.what());
    }
}

std::vector<uint32_t> listed(const uint32_t* at, uint32_t n) {
    return n == 0 ? std::vector<uint32_t>() : std::vector<uint32_t>(at, at + n);
}

ht_problem table_for(Lent& lent) {
    const Problem::Shape shape = lent.problem.shape();
    ht_problem t{};
    t.size = sizeof t;
    t.flags = shape.orthonormal ? HT_PROBLEM_ORTHONORMAL : 0;
    t.self = &lent;
    t.rows = shape.rows;
    t.cols = shape.cols;
    t.p_rows = shape.p_rows;
    t.p_cols = shape.p_cols;
    t.mat = [](void* self, uint64_t rows, uint64_t cols, ht_mat* out) noexcept {
        return guarded(self, [&](Problem& p) { *out = p.mat(rows, cols); });
    };
    t.num = [](void* self, double initial, ht_num* out) noexcept {
        return guarded(self, [&](Problem& p) { *out = p.num(initial); });
    };
    t.gemm = [](void* self, ht_num alpha, ht_mat a, int32_t ta, ht_mat b, int32_t tb, ht_num beta,
                ht_mat c) noexcept {
        return guarded(self, [&](Problem& p) { p.gemm(alpha, a, ta != 0, b, tb != 0, beta, c); });
    };
    t.factor = [](void* self, int32_t what, ht_mat a, ht_mat out) noexcept {
        return guarded(self, [&](Problem& p) { p.factor(what, a, out); });
    };
    t.copy = [](void* self, ht_mat to, ht_mat from) noexcept {
        return guarded(self, [&](Problem& p) { p.copy(to, from); });
    };
    t.project = [](void* self, ht_mat a, ht_space space, ht_mat p, ht_num norm) noexcept {
        return guarded(self, [&](Problem& problem) { problem.project(a, space, p, norm); });
    };
    t.project_stored = [](void* self, ht_mat a, ht_space space, ht_mat p, ht_num norm) noexcept {
        return guarded(self, [&](Problem& problem) { problem.project_stored(a, space, p, norm); });
    };
    t.lift_add = [](void* self, ht_mat to, ht_num alpha, ht_mat p) noexcept {
        return guarded(self, [&](Problem& problem) { problem.lift_add(to, alpha, p); });
    };
    t.apply = [](void* self, const ht_op* op, const ht_mat* mats, uint32_t n, const ht_num* nums, uint32_t m,
                 ht_mat p) noexcept {
        return guarded(self, [&](Problem& problem) {
            const Lent& lent = *static_cast<Lent*>(self);
            if (!lent.optimizer.owns(op))
                blame(lent, "apply() was given an operation that the plugin has not listed");
            problem.apply(*op, listed(mats, n), listed(nums, m), p);
        });
    };
    t.propose = [](void* self, ht_mat a, ht_space space) noexcept {
        return guarded(self, [&](Problem& p) { p.propose(a, space); });
    };
    t.refit = [](void* self, ht_mat a) noexcept { return guarded(self, [&](Problem& p) { p.refit(a); }); };
    t.set = [](void* self, ht_num number, double value) noexcept {
        return guarded(self, [&](Problem& p) { p.set(number, value); });
    };
    t.read = [](void* self, ht_num from, double* out) noexcept {
        return guarded(self, [&](Problem& p) { *out = p.read(from); });
    };
    t.stop = [](void* self) noexcept -> int32_t {
        bool stop = true;  // also once something has gone wrong
        guarded(self, [&](Problem& p) { stop = p.stop(); });
        return stop ? 1 : 0;
    };
    t.stop_when = [](void* self, ht_num flag) noexcept {
        return guarded(self, [&](Problem& p) { p.stop_when(flag); });
    };
    t.trace = [](void* self, const char* name, ht_num value) noexcept {
        return guarded(self, [&](Problem& p) { p.trace(shown(name), value); });
    };
    return t;
}

}  // namespace

RoundingResult minimize(Problem& problem, const Optimizer& optimizer, const OptionValues& options) {
    Lent lent{problem, optimizer, {}};
    const ht_problem table = table_for(lent);
    try {
        optimizer.minimize(table, options);
    } catch (...) {
        // What the host itself could not do is the cause, the plugin's complaint only the echo.
        if (!lent.thrown) throw;
    }
    if (lent.thrown) rethrow(lent);
    return problem.finish();
}

}  // namespace halftone
