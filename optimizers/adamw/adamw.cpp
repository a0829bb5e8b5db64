// AdamW on how far each code is moved from round to nearest, in steps of the code. The loss is the norm of
// the projected error of the unrounded iterate; what that is worth once stored is up to the judge, to whom an
// iterate is shown every now and then.

#include <halftone/ext/draft/optimizer.hpp>
#include <halftone/kernel_image.hpp>

#include "adamw_element.hpp"

HALFTONE_KERNEL_IMAGE(adamw_device)

namespace halftone::adamw {
namespace {

// mats: the moves, their first and second moments. One tile.
void step(const ht_tile* tile) noexcept {
    const Step take(tile->nums);
    for (uint64_t i = 0; i < tile->rows; ++i) {
        const auto row = [&](int which) {
            return tile->mats[which] + static_cast<int64_t>(i) * tile->strides[which];
        };
        float *const delta = row(0), *const first = row(1), *const square = row(2);
        const float *const gradient = tile->gradient + i * tile->cols, *const sigma =
                                                                           tile->sigma + i * tile->cols;
        HT_INDEPENDENT
        for (uint64_t j = 0; j < tile->cols; ++j)
            take(delta[j], first[j], square[j], gradient[j], sigma[j]);
    }
}

void next(const ht_tile* tile) noexcept {
    advance(tile->nums);
}

constexpr ht_op step_op{sizeof(ht_op), HT_OP_ELEMENT, HT_OP_GRADIENT | HT_OP_SIGMA, 0, "adamw_step", step};
constexpr ht_op next_op{sizeof(ht_op), HT_OP_SCALAR, 0, 0, "adamw_next", next};

}  // namespace

class AdamW {
  public:
    static constexpr PluginInfo info{"adamw", "1.0.0", "AdamW on the codes' distance from round to nearest",
                                     "MIT"};

    static constexpr ht_option options[] = {
        whole("iterations", "1000", 1, 10000000, "how many steps"),
        real("learning_rate", "0.008077300000003", 1e-12, 100, "length of a step, in codes"),
        real("beta_1", "0.9", 0, 0.999999, "decay of the first moment"),
        real("beta_2", "0.999", 0, 0.9999999, "decay of the second moment"),
        real("epsilon", "1e-8", 0, 1, "keeps steps of tiny gradients small"),
        real("weight_decay", "0.01", 0, 1, "pull towards round to nearest"),
        whole("propose_every", "50", 1, 10000000, "iterations between two candidates for storing"),
    };

    static constexpr const ht_op* ops[] = {&step_op, &next_op};

    static const void* extension(std::string_view id) {
        static const ht_kernels kernels = all_kernels(kernel_image(HALFTONE_IMAGE(adamw_device)));
        return id == HT_OPTIMIZER_KERNELS && kernels.bytes > 0 ? &kernels : nullptr;
    }

    static uint32_t matrices(const Options&) { return 3; }

    static void minimize(Problem& problem, const Options& options) {
        const ht_mat delta = problem.like_weights(), first = problem.like_weights(),
                     square = problem.like_weights(), error = problem.like_projection();
        const ht_num loss = problem.number(), lr = problem.number(options.real("learning_rate")),
                     decay = problem.number(options.real("weight_decay")),
                     beta_1 = problem.number(options.real("beta_1")),
                     beta_2 = problem.number(options.real("beta_2")),
                     epsilon = problem.number(options.real("epsilon")), power_1 = problem.number(1),
                     power_2 = problem.number(1);
        for (int64_t i = 0; i < options.whole("iterations") && !problem.stop(); ++i) {
            problem.project(delta, HT_SPACE_STEPS, error, loss);
            problem.trace("lr", lr);
            if (i > 0 && i % options.whole("propose_every") == 0) problem.propose(delta, HT_SPACE_STEPS);
            problem.apply(next_op, {}, {loss, lr, decay, beta_1, beta_2, epsilon, power_1, power_2});
            problem.apply(step_op, {delta, first, square},
                          {loss, lr, decay, beta_1, beta_2, epsilon, power_1, power_2}, error);
        }
        problem.propose(delta, HT_SPACE_STEPS);
    }
};

}  // namespace halftone::adamw

HALFTONE_OPTIMIZER(halftone::adamw::AdamW)
