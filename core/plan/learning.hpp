#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/checkpoint/checkpoint.hpp"
#include "core/pipeline/pipeline.hpp"
#include "plugins/optimizer.hpp"

namespace halftone {

// Where the two factors of an objective come from, for one matrix.
struct PlannedObjective {
    std::string name;                        // equal names, equal factors
    uint64_t singular_directions = 0;        // > 0: those of the weights
    std::shared_ptr<const Checkpoint> file;  // of what follows
    const Tensor* left = nullptr;            // A
    const Tensor* right = nullptr;           // B, or
    const Tensor* inputs = nullptr;          // sampled activations, one a row, or
    const Tensor* second_moment = nullptr;   // their mean outer product
};

// How the rounding of one matrix is learned.
struct PlannedLearning {
    std::shared_ptr<const Optimizer> optimizer;
    OptionValues options;
    uint32_t matrices = 0;  // of the weights' size that the optimizer asks for
    PlannedObjective objective;
    std::vector<std::pair<double, PlannedObjective>> judge;
    std::optional<double> squared_error_cap;
    uint64_t seed = 0;
};

// Plans learned rounding from [rounding]: opens the files of factors and statistics, as far as their headers.
class Learning {
  public:
    explicit Learning(const Pipeline&);

    // The plan for a matrix of this layer, or why it is rounded to nearest. Exit::input if a file has factors
    // that don't fit the matrix.
    struct Answer {
        std::optional<PlannedLearning> plan;
        std::string why_not;
    };
    Answer plan_for(const std::string& layer, uint64_t rows, uint64_t cols,
                    const std::shared_ptr<const Optimizer>&, const OptionValues&);

    // The recorded activations of a layer; null if there are none, or no statistics at all.
    struct Inputs {
        std::shared_ptr<const Checkpoint> file;
        const Tensor* rows = nullptr;  // one sample a row
    };
    Inputs inputs_of(const std::string& layer, uint64_t cols);

    std::vector<std::shared_ptr<const Checkpoint>> files() const;  // that were opened

  private:
    std::shared_ptr<const Checkpoint> opened(const std::filesystem::path&, const std::string& where);
    std::optional<PlannedObjective> objective(const ObjectiveChoice&, const std::string& layer, uint64_t rows,
                                              uint64_t cols, const std::string& where, std::string& why_not);

    Pipeline::Rounding rounding_;
    std::filesystem::path statistics_;
    std::string statistics_where_;
    std::map<std::filesystem::path, std::shared_ptr<const Checkpoint>> files_;
};

}  // namespace halftone
