#include "core/cli/synth/tensor_maker.hpp"

#include <algorithm>

#include "core/cli/synth/draw.hpp"

namespace halftone::synth {

namespace {

class VectorMaker : public TensorMaker {
  public:
    VectorMaker(uint64_t seed, const TensorSpec& spec)
        : TensorMaker(1, element_count(spec.shape).value_or(0)), seed_(seed), spec_(spec) {}

    void row(uint64_t, std::span<float> out, std::vector<float>&) const override {
        Draw draw(seed_, spec_.name, "elements");
        const bool norm = spec_.kind == Kind::norm;
        const double deviation = norm ? draw.between(0.05, 0.2) : draw.between_logs(0.01, 0.1);
        for (float& x : out) {
            const double z = draw.normal();
            // A norm's weights never change their sign, whatever training does to them.
            x = static_cast<float>(norm ? std::max(0.1, 1 + deviation * z) : deviation * z);
        }
    }

  private:
    uint64_t seed_;
    TensorSpec spec_;
};

}  // namespace

std::unique_ptr<TensorMaker> tensor_maker(uint64_t seed, const TensorSpec& spec) {
    if (spec.kind == Kind::bias || spec.kind == Kind::norm) return std::make_unique<VectorMaker>(seed, spec);
    return matrix_maker(seed, spec, draw_traits(seed, spec.name, spec.shape[0], spec.shape[1], spec.kind));
}

}  // namespace halftone::synth
