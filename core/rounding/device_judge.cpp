#include "core/rounding/device_judge.hpp"

#include <utility>

namespace halftone {

DeviceJudge::DeviceJudge(DeviceWork& work, const RoundingTask& task, DeviceCandidates& candidates,
                         ObjectiveFactors& objectives, const DeviceFactors& factors,
                         DeviceProjection& projection)
    : work_(work),
      task_(task),
      candidates_(candidates),
      factors_(factors),
      projection_(projection),
      terms_(task.judge.terms.size()),
      best_(work.device, candidates.weights().rows, candidates.weights().cols),
      changed_(work.numbers.add(work.stream, 0)),
      kept_(work.numbers.add(work.stream, 0)),
      improved_(work.numbers.add(work.stream, 0)),
      best_form_(work.numbers.add(work.stream, 0)) {
    if (terms_ + 1 > HT_JUDGE_MOST_TERMS)
        throw DeviceFailure(DeviceFailure::Kind::refused, "the judge has too many terms for a device");
    for (double** list : {&scores_, &nearest_scores_, &best_scores_}) {
        *list = work_.numbers.add(work_.stream, 0);
        for (uint64_t i = 0; i <= terms_; ++i)  // places follow each other
            work_.numbers.add(work_.stream, 0);
    }
    for (const Judge::Term& term : task.judge.terms)
        term_factors_.push_back(objectives.of(term.objective));

    const DeviceMatrix& weights = candidates_.weights();
    DeviceMatrix p(work_.device, factors.p_rows(weights.rows), factors.p_cols(weights.cols));
    score({weights, HT_SPACE_VALUES}, p.at(), scores_ + terms_ + 1);
    for (double* const list : {nearest_scores_, best_scores_})
        work_.stream.copy(list, scores_, (terms_ + 2) * sizeof(double));
    // Optimizers begin with it; remembered where it is small.
    if (!factors.left.empty() && !factors.right.empty()) nearest_p_ = std::move(p);
    work_.stream.wait();
}

void DeviceJudge::repeat_nearest(float* p, double* loss) {
    work_.stream.copy(p, nearest_p_.at(), nearest_p_.bytes());
    work_.stream.copy(loss, nearest_scores_ + terms_ + 1, sizeof(double));
    if (!task_.trace) return;
    work_.stream.copy(scores_, nearest_scores_, (terms_ + 2) * sizeof(double));
    for (double* const none : {changed_, kept_})
        work_.stream.copy(none, work_.zero, sizeof(double));
}

// Fills scores_.
void DeviceJudge::score(const DeviceCandidate& candidate, float* p, double* loss) {
    const DeviceMatrix& weights = candidates_.weights();
    const auto make = [&](uint64_t row, uint64_t n, float* band) {
        candidates_.stored(candidate, row, n, band);
        const float* const nearest = task_.trace ? candidates_.nearest(row, n).at() : nullptr;
        work_.sums.run(work_.stream,
                       {.n = n * weights.cols,
                        .value = band,
                        .weights = weights.at(row),
                        .nearest = nearest,
                        .error = band},
                       row > 0, scores_, changed_);
    };
    projection_.project(work_.stream, make, candidates_.band(), p);
    const uint64_t n = factors_.p_rows(weights.rows) * factors_.p_cols(weights.cols);
    work_.sums.run(work_.stream, {.n = n, .value = p}, false, loss);
    double* const own_loss = scores_ + terms_ + 1;
    if (loss != own_loss) work_.stream.copy(own_loss, loss, sizeof(double));
    for (uint64_t i = 0; i < terms_; ++i)
        score_term(i, candidate);
}

void DeviceJudge::score_term(uint64_t i, const DeviceCandidate& candidate) {
    const DeviceFactors& factors = *term_factors_[i];
    double* const to = scores_ + 1 + i;
    if (&factors == &factors_) return work_.stream.copy(to, scores_ + terms_ + 1, sizeof(double));
    if (factors.left.empty() && factors.right.empty()) return work_.stream.copy(to, scores_, sizeof(double));
    const DeviceMatrix& weights = candidates_.weights();
    const DeviceMatrix p(work_.device, factors.p_rows(weights.rows), factors.p_cols(weights.cols));
    DeviceProjection projection(work_.device, factors, weights.rows, weights.cols, candidates_.band_rows(),
                                work_.one, work_.zero);
    projection.project(
        work_.stream,
        [&](uint64_t row, uint64_t n, float* band) {
            candidates_.stored(candidate, row, n, band);
            work_.sums.run(work_.stream,
                           {.n = n * weights.cols,
                            .value = band,
                            .weights = weights.at(row),
                            .nearest = nullptr,
                            .error = band},
                           false, work_.ignored);
        },
        candidates_.band(), p.at());
    work_.sums.run(work_.stream, {.n = p.size(), .value = p.at()}, false, to);
}

void DeviceJudge::offer(const DeviceCandidate& candidate, float* p, double* loss) {
    score(candidate, p, loss);
    ++offered_;
    ht_judge_args judge{};
    judge.size = sizeof judge;
    judge.n_terms = static_cast<uint32_t>(terms_ + 1);  // the last is the loss, for the record
    judge.cap = task_.judge.squared_error_cap;
    for (uint64_t i = 0; i < terms_; ++i)
        judge.weights[i] = task_.judge.terms[i].weight;
    judge.scores = scores_;
    judge.nearest = nearest_scores_;
    judge.best = best_scores_;
    judge.kept = kept_;
    judge.improved = improved_;
    judge.generation = static_cast<double>(candidates_.grid() * 2 + (candidate.space == HT_SPACE_STEPS));
    judge.best_generation = best_form_;
    work_.stream.launch(work_.device->common(), "judge", 1, judge);
    const ht_keep_args keep{sizeof(ht_keep_args), 0, best_.size(), kept_, candidate.at.at(), best_.at()};
    work_.stream.launch(work_.device->common(), "keep", blocks_for(*work_.device, keep.n), keep);
}

Measured DeviceJudge::measured(const double* scores) const {
    std::vector<double> numbers(terms_ + 2);
    work_.stream.copy(numbers.data(), scores, numbers.size() * sizeof(double));
    work_.stream.wait();
    Measured result;
    result.squared_error = numbers.front();
    result.loss = numbers.back();
    result.terms.assign(numbers.begin() + 1, numbers.end() - 1);
    return result;
}

DeviceJudge::Best DeviceJudge::best() const {
    const bool improved = work_.numbers.read(work_.stream, improved_) != 0;
    const auto form = static_cast<uint64_t>(work_.numbers.read(work_.stream, best_form_));
    if (!improved) return {{candidates_.weights(), HT_SPACE_VALUES}, 0, false, measured(best_scores_)};
    return {{best_, form % 2 ? HT_SPACE_STEPS : HT_SPACE_VALUES}, form / 2, true, measured(best_scores_)};
}

}  // namespace halftone
