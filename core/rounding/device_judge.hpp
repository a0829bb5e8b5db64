#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/rounding/device_candidate.hpp"
#include "core/rounding/device_factors.hpp"
#include "core/rounding/device_projection.hpp"

namespace halftone {

// Judges what would be stored of candidates, and keeps the best, all of it on the device: the host does not
// learn how it went before it asks. Refers to all it is given.
class DeviceJudge {
  public:
    // Judges the weights rounded to nearest. Throws DeviceFailure if the judge is too much for a device.
    DeviceJudge(DeviceWork&, const RoundingTask&, DeviceCandidates&, ObjectiveFactors&, const DeviceFactors&,
                DeviceProjection&);

    // p = A (stored - W) B of the objective, and its squared norm.
    void offer(const DeviceCandidate&, float* p, double* loss);
    // The same for the weights rounded to nearest on the first grid, where their projection is remembered
    // (it is small).
    bool remembers_nearest() const { return !nearest_p_.empty(); }
    void repeat_nearest(float* p, double* loss);
    void forget_nearest() { nearest_p_ = {}; }

    uint64_t offered() const { return offered_; }
    Measured last() const { return measured(scores_); }
    Measured nearest() const { return measured(nearest_scores_); }
    double codes_changed() const { return work_.numbers.read(work_.stream, changed_); }
    double was_kept() const { return work_.numbers.read(work_.stream, kept_); }

    // What is to be stored: round to nearest if nothing was better.
    struct Best {
        DeviceCandidate candidate;
        uint64_t grid;
        bool improved;
        Measured measured;
    };
    Best best() const;

  private:
    void score(const DeviceCandidate&, float* p, double* loss);
    void score_term(uint64_t i, const DeviceCandidate&);
    Measured measured(const double* scores) const;

    DeviceWork& work_;
    const RoundingTask& task_;
    DeviceCandidates& candidates_;
    const DeviceFactors& factors_;
    DeviceProjection& projection_;
    const uint64_t terms_;
    std::vector<std::shared_ptr<const DeviceFactors>> term_factors_;
    DeviceMatrix best_, nearest_p_;
    double *changed_, *kept_, *improved_;
    double* best_form_;  // of the best: the grid's number times 2, plus 1 if it is in steps
    double *scores_ = nullptr, *nearest_scores_ = nullptr, *best_scores_ = nullptr;
    uint64_t offered_ = 0;
};

}  // namespace halftone
