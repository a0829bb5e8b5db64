// Integral feedback: latent weights start at the weights; what rounding them left of the error in the
// objective's directions is taken off them again and again, until the stored matrix errs little there. The
// derivative of rounding is never needed, so any grid will do.

#include <halftone/ext/draft/optimizer.hpp>

namespace halftone::integral {

class Integral {
  public:
    static constexpr PluginInfo info{"integral", "1.0.0",
                                     "feeds the projected error of the stored weights back", "MIT"};

    static constexpr ht_option options[] = {
        whole("rounds", "40", 1, 100000, "how often the stored error is fed back"),
        real("gain", "0.05", 1e-6, 2, "the share of it that is fed back each time"),
    };

    static uint32_t matrices(const Options&) { return 1; }

    static void minimize(Problem& problem, const Options& options) {
        const ht_mat latent = problem.like_weights(), error = problem.like_projection();
        const ht_num norm = problem.number(), back = problem.number(-options.real("gain"));
        problem.copy(latent, HT_MAT_WEIGHTS);
        for (int64_t round = 0; round < options.whole("rounds") && !problem.stop(); ++round) {
            problem.project_stored(latent, HT_SPACE_VALUES, error, norm);
            problem.lift_add(latent, back, error);
        }
        problem.propose(latent, HT_SPACE_VALUES);
    }
};

}  // namespace halftone::integral

HALFTONE_OPTIMIZER(halftone::integral::Integral)
