#pragma once

#include <cmath>
#include <string_view>
#include <vector>

#include "core/rounding/problem.hpp"

namespace halftone {

// The rows of a trace, as problems of all devices write them. Does nothing unless it is on.
class TraceRows {
  public:
    explicit TraceRows(bool on) : on_(on) {}

    bool on() const { return on_; }

    // An iteration begins.
    void begin() {
        if (on_ && !(rows_.empty() || rows_.back().empty())) rows_.emplace_back();
    }

    // A name that comes again begins another row: not every iteration needs project().
    void note(std::string_view name, double value) {
        if (!on_) return;
        if (rows_.empty() || rows_.back().contains(name)) rows_.emplace_back();
        rows_.back()[std::string(name)] = value;
    }

    void candidate(const Measured& now, const Measured& nearest, double changed, bool kept, double seconds) {
        note("stored_loss", std::sqrt(now.loss));
        note("squared_error", now.squared_error / nearest.squared_error);
        note("codes_changed", changed);
        note("kept", kept ? 1 : 0);
        note("seconds", seconds);
    }

    std::vector<TraceRow> take() { return std::move(rows_); }

  private:
    bool on_;
    std::vector<TraceRow> rows_;
};

}  // namespace halftone
