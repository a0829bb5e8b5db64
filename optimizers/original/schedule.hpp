// How the step of the plain loop changes from iteration to iteration: three schedules over a loss and a few
// counters, and when to stop.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include <halftone/plugin.hpp>

namespace halftone::original {

enum class Kind { adaptive, exponential, plateau };

struct Settings {
    Kind kind = Kind::adaptive;
    double learning_rate = 8.077300000003e-3;
    double gamma = 0.99;
    double factor = 0.8, least = 1e-9, threshold = 0;
    int64_t patience = 10, cooldown = 5, iterations = 1000, stall = 500;
    bool square = false;  // the matrix is as high as it is wide
};

// One step of the schedule: give it the loss of the iterate at hand, and it says whether that is the best so
// far, whether to go on, and how far to go.
class Schedule {
  public:
    explicit Schedule(const Settings& settings) : s_(settings), lr_(settings.learning_rate) {}

    bool look(double loss) {
        const bool improved = s_.threshold > 0 ? best_ - loss > s_.threshold : loss < best_;
        if (improved) {
            best_ = loss;
            worse_ = plateau_ = 0;
        } else {
            ++worse_;
            ++plateau_;
        }
        change(improved);
        stop_ = loss < 1e-8 || lr_ < 1e-8 || worse_ > s_.stall;
        return improved;
    }

    bool stop() const { return stop_; }
    double learning_rate() const { return lr_; }

  private:
    void change(bool improved) {
        switch (s_.kind) {
            case Kind::adaptive:
                adapt(improved);
                break;
            case Kind::exponential:
                lr_ = std::max(lr_ * s_.gamma, s_.least);
                break;
            case Kind::plateau:
                if (resting_ > 0) {
                    --resting_;
                } else if (plateau_ >= s_.patience) {
                    if (lr_ > s_.least) {
                        lr_ = std::max(lr_ * s_.factor, s_.least);
                        resting_ = s_.cooldown;
                    }
                    plateau_ = 0;
                }
                break;
        }
    }

    // Up by a quarter after an improvement; down, ever more slowly, the longer there has been none.
    void adapt(bool improved) {
        struct Tier {
            int64_t upto;
            double by, least;
        };
        static constexpr Tier tiers[] = {{25, 0.95, 9e-8},     {50, 0.97, 8e-8},     {75, 0.985, 7e-8},
                                         {100, 0.9875, 6e-8},  {150, 0.98875, 5e-8}, {200, 0.99, 4e-8},
                                         {250, 0.99125, 3e-8}, {300, 0.9925, 2e-8}};
        const double small = s_.square ? 0.95 : 1.0;
        if (improved) {
            lr_ = std::min(lr_ * 1.25 * small, 100.0);
            return;
        }
        Tier tier{0, 0.995, 5e-9};
        for (const Tier& one : tiers)
            if (worse_ <= one.upto) {
                tier = one;
                break;
            }
        lr_ = std::max(lr_ * tier.by * small, tier.least);
    }

    Settings s_;
    double lr_, best_ = std::numeric_limits<double>::infinity();
    int64_t worse_ = 0, plateau_ = 0, resting_ = 0;
    bool stop_ = false;
};

}  // namespace halftone::original
