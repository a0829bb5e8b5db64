#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/compare/pairing.hpp"
#include "core/run/progress.hpp"
#include "core/run/workers.hpp"
#include "core/verify/findings.hpp"

namespace halftone {

struct VerifySettings {
    std::shared_ptr<const Checkpoint> against = nullptr;  // what it was made from; null: not known
    // Tensors of that which were left out on purpose. Unset: those that the recipe in the file leaves out.
    std::optional<std::set<std::string>> removed = std::nullopt;
    // |Q - W|^2 / |W|^2 of each quantized tensor, as it was when the file was made.
    std::optional<std::map<std::string, double>> recorded = std::nullopt;
};

struct VerifiedLayer {
    std::string name;   // of the weight
    std::string shown;  // "acme.int4 block=32"
    std::optional<double> relative_squared_error;
};

struct Verification {
    std::vector<Finding> findings;
    std::vector<Finding> remarks;       // what is as it should be, and worth a word
    std::vector<VerifiedLayer> layers;  // quantized ones that could be read, in the order of names
    uint64_t tensors = 0;               // of the file
    uint64_t copied = 0, cast = 0;      // with an input: found to be as they should
    uint64_t left_out = 0;              // of the input's tensors, on purpose
    bool compared = false;              // with an input
    uint64_t recorded = 0;              // errors that were compared with recorded ones
};

// Reads a checkpoint and checks all that can be known about it.
class Verifier {
  public:
    // Checks headers and layers, from headers and companions alone.
    Verifier(std::shared_ptr<const Checkpoint>, VerifySettings, Registry&);

    void set_totals(Progress&) const;
    Verification run(Workers&, Progress&);  // once

  private:
    void pair_with_input(Registry&);
    void check_names(const Pairing&, Registry&);
    void compare_kept(Workers&, Progress&);
    void compare_quantized(Workers&, Progress&);
    struct Suspect {  // has little to do with its input
        const ComparedPair* pair;
        double error;
    };
    void judge(const std::vector<Suspect>&, Workers&);
    void compare_with_recorded();
    VerifiedLayer* find_layer(const std::string& name);  // once they are in order; null: none

    std::shared_ptr<const Checkpoint> file_;
    VerifySettings settings_;
    Findings findings_;
    Verification result_;
    std::vector<std::shared_ptr<const StoredMatrix>> layers_;
    std::vector<ComparedPair> kept_;
    Pairing quantized_;
};

// Whether two measurements of one error can be of the same bytes. Sums differ in their last digits from build
// to build; a single code that differs moves them by more.
bool same_error(double measured, double recorded);

}  // namespace halftone
