// The first learned rounding of the field: steps of a scheduled length down the gradient of the projected
// error, from round to nearest on, as if the weights were not rounded at all.
//
// With orthonormal factors every iterate lies on one line: the projected error only shrinks, P_t = c_t P_0,
// so a thousand iterations are a recursion of one number, and its outcome is applied once.

#include <halftone/ext/draft/optimizer.hpp>
#include <halftone/kernel_image.hpp>
#include <halftone/toolbox/device.hpp>

#include "schedule.hpp"

HALFTONE_KERNEL_IMAGE(original_device)

namespace halftone::original {
namespace {

constexpr const char* schedule_names[] = {"adaptive", "exponential", "plateau", nullptr};

// mats: the iterate. nums: how far to go along the gradient from round to nearest.
void from_nearest(const ht_tile* tile) noexcept {
    const auto far = static_cast<float>(tile->nums[0]);
    for (uint64_t i = 0; i < tile->rows; ++i) {
        float* const to = tile->mats[0] + static_cast<int64_t>(i) * tile->strides[0];
        const float *nearest = tile->nearest + i * tile->cols, *gradient = tile->gradient + i * tile->cols;
        for (uint64_t j = 0; j < tile->cols; ++j)
            to[j] = nearest[j] - far * gradient[j];
    }
}

constexpr ht_op start{sizeof(ht_op),           HT_OP_ELEMENT, HT_OP_NEAREST | HT_OP_GRADIENT, 0,
                      "original_from_nearest", from_nearest};

double sign(double x) {
    return x > 0 ? 1 : x < 0 ? -1 : 0;
}

}  // namespace

class Original {
  public:
    static constexpr PluginInfo info{"original", "1.0.0",
                                     "scheduled gradient steps from round to nearest, in closed form", "MIT"};

    static constexpr ht_option options[] = {
        whole("iterations", "1000", 1, 10000000, "how many steps at most"),
        real("learning_rate", "0.008077300000003", 1e-12, 100, "length of the first step"),
        choice("schedule", "adaptive", schedule_names, "how the length changes"),
        real("gamma", "0.99", 0, 1, "factor per iteration (exponential)"),
        real("factor", "0.8", 0, 1, "factor when the loss has stopped falling (plateau)"),
        whole("patience", "10", 1, 1000000, "iterations without improvement before that (plateau)"),
        whole("cooldown", "5", 0, 1000000, "iterations of rest after it (plateau)"),
        real("least", "1e-9", 0, 100, "no step gets shorter (exponential, plateau)"),
        real("threshold", "0", 0, 1e30, "what counts as an improvement of the loss"),
        whole("stall", "500", 1, 10000000, "iterations without improvement before giving up"),
    };

    static constexpr const ht_op* ops[] = {&start};

    static const void* extension(std::string_view id) {
        static const ht_kernels kernels = all_kernels(kernel_image(HALFTONE_IMAGE(original_device)));
        return id == HT_OPTIMIZER_KERNELS && kernels.bytes > 0 ? &kernels : nullptr;
    }

    static uint32_t matrices(const Options&) { return 2; }

    static void minimize(Problem& problem, const Options& options) {
        const Settings settings{options.choice_as<Kind>("schedule"),
                                options.real("learning_rate"),
                                options.real("gamma"),
                                options.real("factor"),
                                options.real("least"),
                                options.real("threshold"),
                                options.whole("patience"),
                                options.whole("cooldown"),
                                options.whole("iterations"),
                                options.whole("stall"),
                                problem.square()};
        const ht_mat error = problem.like_projection(), iterate = problem.like_weights();
        const ht_num norm = problem.number();
        problem.project_stored(HT_MAT_WEIGHTS, HT_SPACE_VALUES, error, norm);
        const double first = std::sqrt(problem.read(norm));
        if (first == 0) return;
        if (problem.orthonormal()) {
            const ht_num far = problem.number(1 - collapsed(problem, settings, first) / first);
            problem.apply(start, {iterate}, {far}, error);
            problem.propose(iterate, HT_SPACE_VALUES);
        } else {
            plain(problem, settings, iterate, error, norm);
        }
    }

  private:
    // The signed loss of the best iterate.
    static double collapsed(Problem& problem, const Settings& settings, double first) {
        Schedule schedule(settings);
        const ht_num loss_number = problem.number(), lr_number = problem.number();
        double loss = first, best = first;
        for (int64_t i = 0; i < settings.iterations; ++i) {
            if (schedule.look(std::fabs(loss))) best = loss;
            problem.set(loss_number, std::fabs(loss));
            problem.set(lr_number, schedule.learning_rate());
            problem.trace("relaxed_loss", loss_number);
            problem.trace("lr", lr_number);
            if (schedule.stop()) break;
            loss -= schedule.learning_rate() * sign(loss);
        }
        return best;
    }

    // Without orthonormal factors there is no such line, and every step is taken.
    static void plain(Problem& problem, const Settings& settings, ht_mat iterate, ht_mat error, ht_num norm) {
        const ht_mat best = problem.like_weights();
        const ht_num number = problem.number();
        problem.apply(start, {iterate}, {number}, error);
        Schedule schedule(settings);
        for (int64_t i = 0; i < settings.iterations && !problem.stop(); ++i) {
            problem.project(iterate, HT_SPACE_VALUES, error, norm);
            const double loss = std::sqrt(problem.read(norm));
            if (schedule.look(loss)) problem.copy(best, iterate);
            problem.set(number, schedule.learning_rate());
            problem.trace("lr", number);
            if (schedule.stop() || loss == 0) break;
            problem.set(number, -schedule.learning_rate() / loss);
            problem.lift_add(iterate, number, error);
        }
        problem.propose(best, HT_SPACE_VALUES);
    }
};

}  // namespace halftone::original

HALFTONE_OPTIMIZER(halftone::original::Original)
