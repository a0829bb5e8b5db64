#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <halftone/ext/draft/optimizer.h>

#include "core/rounding/objective.hpp"
#include "plugins/format.hpp"

namespace halftone {

// One matrix whose rounding is to be learned.
struct RoundingTask {
    const FormatPlan* format = nullptr;
    const Grid* grid = nullptr;  // sealed; fitted to the weights
    Matrix weights;              // in the grid's basis
    Objective objective;
    Judge judge;
    uint64_t seed = 0;
    uint32_t matrices = 0;  // of the weights' size that the optimizer may ask for
    std::string culprit;    // "optimizer 'acme.round' (FILE)": whose operations run
    bool trace = false;
    std::function<bool()> stop;  // cancelled or out of time
};

// What happened in one iteration, by name: "relaxed_loss", "stored_loss" (norms, not squares),
// "squared_error" (as a multiple of round to nearest's), "codes_changed", "kept", "seconds", and what the
// optimizer recorded.
using TraceRow = std::map<std::string, double, std::less<>>;

struct RoundingResult {
    AlignedBytes codes;  // all bytes of the stored weight
    Grid grid;           // that they belong to
    Measured nearest, best;
    bool improved = false;  // better than round to nearest
    uint64_t candidates = 0;
    std::vector<TraceRow> trace;
    std::map<std::string, double> phases = {};  // what took how many seconds, as far as it was measured
};

// ht_problem in C++, for one device. Calls come from one thread; they may return before the work is done,
// except read(), stop() and finish(). What goes wrong is thrown.
class Problem {
  public:
    struct Shape {
        uint64_t rows, cols, p_rows, p_cols;
        bool orthonormal;
    };

    virtual ~Problem() = default;
    virtual Shape shape() const = 0;
    virtual ht_mat mat(uint64_t rows, uint64_t cols) = 0;
    virtual ht_num num(double initial) = 0;
    virtual void gemm(ht_num alpha, ht_mat a, bool ta, ht_mat b, bool tb, ht_num beta, ht_mat c) = 0;
    virtual void factor(int32_t what, ht_mat a, ht_mat out) = 0;
    virtual void copy(ht_mat to, ht_mat from) = 0;
    virtual void project(ht_mat a, ht_space, ht_mat p, ht_num norm) = 0;
    virtual void project_stored(ht_mat a, ht_space, ht_mat p, ht_num norm) = 0;
    virtual void lift_add(ht_mat to, ht_num alpha, ht_mat p) = 0;
    virtual void apply(const ht_op&, const std::vector<ht_mat>& mats, const std::vector<ht_num>& nums,
                       ht_mat p) = 0;
    virtual void propose(ht_mat a, ht_space) = 0;
    virtual void refit(ht_mat a) = 0;
    virtual void set(ht_num, double) = 0;
    virtual double read(ht_num) = 0;
    virtual bool stop() = 0;
    virtual void stop_when(ht_num flag) = 0;
    virtual void trace(std::string_view name, ht_num) = 0;

    // The best candidate, round to nearest if none was better, judged once more on its bytes.
    virtual RoundingResult finish() = 0;
};

}  // namespace halftone
