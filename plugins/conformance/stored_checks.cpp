// What gets stored: the same bytes whatever bands and threads, all of them written, and the way back from
// them.

#include <cmath>
#include <cstring>

#include "plugins/conformance/canvas.hpp"
#include "plugins/conformance/trial.hpp"

namespace halftone::conformance {

namespace {

std::string told(const Bands& bands) {
    std::string starts;
    for (size_t i = 0; i < bands.starts.size() && i < 6; ++i)
        starts += (i ? ", " : "") + std::to_string(bands.starts[i]);
    return fmt::format("{} bands (from rows {}{}){}{} on {} thread{}", bands.starts.size(), starts,
                       bands.starts.size() > 6 ? ", ..." : "",
                       bands.part_cols > 0 ? fmt::format(" in parts of {} columns", bands.part_cols) : "",
                       bands.folds_each ? ", folded one by one," : "", bands.threads,
                       bands.threads == 1 ? "" : "s");
}

Outcome bands(Trial& trial) {
    const ht_facts& facts = trial.plan->facts();
    const bool in_parts = facts.piece_cols > 0 && trial.matrix.cols > facts.piece_cols;
    if (trial.matrix.rows <= facts.granule_rows && !in_parts) return Outcome::not_applicable;
    for (int round = 0; round < 3; ++round) {
        const Bands cut = random_bands(trial.random, *trial.plan);
        const Written other = write(*trial.plan, trial.matrix, {.bands = cut});
        const std::string difference = first_difference(*trial.plan, trial.written, other);
        if (!difference.empty())
            broken("what is stored depends on the bands: in one band and in {} it differs at {}", told(cut),
                   difference);
    }
    return Outcome::ok;
}

// NaN among the scales makes NaN of all that they cover, wherever it is looked at.
Outcome scales(Trial& trial) {
    Outcome outcome = Outcome::not_applicable;
    for (size_t i = 0; i < trial.plan->stored().size(); ++i) {
        const StoredTensor& stored = trial.plan->stored()[i];
        const size_t size = element_bytes(stored.dtype);
        if (!is_scale(stored.role) || size == 0) continue;
        outcome = Outcome::ok;
        const std::vector<std::byte>& bytes = trial.written.companions[i];
        for (size_t k = 0; k + size <= bytes.size(); k += size) {
            const Odd odd = odd_element(stored.dtype, bytes.data() + k);
            if (odd != Odd::nan && odd != Odd::infinite) continue;
            broken("companion {} ({}), element {} of {} is {}", i, stored.name, k / size, bytes.size() / size,
                   odd == Odd::nan ? "NaN" : "infinite");
        }
    }
    return outcome;
}

Outcome filled(Trial& trial) {
    const Written other = write(*trial.plan, trial.matrix, {.fill = std::byte{0xA7}});
    const std::string difference = first_difference(*trial.plan, trial.written, other);
    if (!difference.empty())
        broken(
            "encode() or companion() leaves bytes as they were in the buffer: over 0x00 and over 0xa7 they "
            "differ "
            "at {}",
            difference);
    return Outcome::ok;
}

Outcome weighted(Trial& trial) {
    Floats weight(trial.matrix.cols, 1.0f);
    const Written ones = write(*trial.plan, trial.matrix, {.column_weight = weight.data()});
    std::string difference = first_difference(*trial.plan, trial.written, ones);
    if (!difference.empty())
        broken("column weights of 1 and none at all store other bytes: they differ at {}", difference);
    for (float& one : weight)
        one = trial.random.one_in(4) ? 0.0f : static_cast<float>(4 * trial.random.uniform());
    const Written whole = write(*trial.plan, trial.matrix, {.column_weight = weight.data()});
    const Bands cut = random_bands(trial.random, *trial.plan);
    const Written cut_up = write(*trial.plan, trial.matrix, {.bands = cut, .column_weight = weight.data()});
    difference = first_difference(*trial.plan, whole, cut_up);
    if (!difference.empty())
        broken(
            "with column weights, what is stored depends on the bands: in one band and in {} it differs at "
            "{}",
            told(cut), difference);
    for (const float x : trial.decoded(whole.grid, whole.weight).values)
        if (!std::isfinite(x)) broken("with column weights, a stored value decodes to {}", number(x));
    return Outcome::ok;
}

Outcome decoding(Trial& trial) {
    const FormatPlan& plan = *trial.plan;
    for (size_t i = 0; i < trial.snapped.values.size(); ++i)
        if (!std::isfinite(trial.snapped.values[i]))
            broken("decode() gives {} for what encode() made of {}", number(trial.snapped.values[i]),
                   number(trial.matrix.values[i]));
    for (uint64_t round = 0; round < 4; ++round) {
        const Bands cut = random_bands(trial.random, plan);
        const size_t band = trial.random.below(cut.starts.size());
        const uint64_t row = cut.starts[band];
        const uint64_t end = band + 1 < cut.starts.size() ? cut.starts[band + 1] : trial.matrix.rows;
        const ht_region region{row, 0, end - row, trial.matrix.cols};
        Canvas out(region.rows, region.cols, round);
        plan.decode(
            trial.written.grid, region,
            std::span(trial.written.weight).subspan(plan.band_offset(row), plan.band_bytes(row, region.rows)),
            out.view());
        for (uint64_t i = 0; i < region.rows; ++i)
            for (uint64_t j = 0; j < region.cols; ++j)
                if (!same_bits(out.at(i, j), trial.snapped.at(row + i, j)))
                    broken(
                        "decode() of the band of rows {} to {} gives {} at row {}, column {}, decode() of "
                        "all rows "
                        "{}",
                        row, end, number(out.at(i, j)), row + i, j, number(trial.snapped.at(row + i, j)));
        if (!out.untouched_between())
            broken("decode() of the band of rows {} to {} wrote outside of its view", row, end);
    }
    return Outcome::ok;
}

Outcome zeros(Trial& trial) {
    if (trial.values != Values::zeros) return Outcome::not_applicable;
    for (size_t i = 0; i < trial.snapped.values.size(); ++i)
        if (trial.snapped.values[i] != 0)
            broken("a matrix of zeros comes back with {} at row {}, column {}",
                   number(trial.snapped.values[i]), i / trial.matrix.cols, i % trial.matrix.cols);
    return Outcome::ok;
}

Outcome rotation(Trial& trial) {
    if (!(trial.plan->facts().flags & HT_FACT_ROTATES)) return Outcome::not_applicable;
    Matrix back = trial.matrix;
    trial.plan->rotate(true, back.view(), back.rows);
    for (uint64_t i = 0; i < back.rows; ++i) {
        double largest = 0;
        for (uint64_t j = 0; j < back.cols; ++j)
            largest = std::max(largest, std::abs(static_cast<double>(trial.drawn.at(i, j))));
        // Each output is a sum over a row's share of numbers of that size, rounded to float32 in between.
        const double allowed = largest * 1e-4 + 1e-40;
        for (uint64_t j = 0; j < back.cols; ++j)
            if (!(std::abs(static_cast<double>(back.at(i, j)) - static_cast<double>(trial.drawn.at(i, j))) <=
                  allowed))
                broken("rotate() back and forth turns {} at row {}, column {} into {}",
                       number(trial.drawn.at(i, j)), i, j, number(back.at(i, j)));
        Canvas alone(1, back.cols, i);
        alone.fill(trial.drawn, {i, 0, 1, back.cols});
        const ht_view view = alone.view();
        trial.plan->rotate(false, view, 1);
        for (uint64_t j = 0; j < back.cols; ++j)
            if (!same_bits(alone.at(0, j), trial.matrix.at(i, j)))
                broken("rotate() of row {} alone gives {} in column {}, among other rows {}", i,
                       number(alone.at(0, j)), j, number(trial.matrix.at(i, j)));
        if (!alone.untouched_between()) broken("rotate() of row {} wrote outside of its view", i);
    }
    return Outcome::ok;
}

Outcome repeated(Trial& trial) {
    const auto again = trial.format.prepare(trial.source, trial.options);
    const std::string told = trial.plan->description().dump(), told_again = again->description().dump();
    if (told != told_again)
        broken("two plans of the same matrix describe themselves as {} and {}", told, told_again);
    const ht_facts &a = trial.plan->facts(), &b = again->facts();
    if (a.grid_bytes != b.grid_bytes || a.granule_rows != b.granule_rows ||
        a.granule_bytes != b.granule_bytes || a.flags != b.flags || a.n_stored != b.n_stored ||
        a.passes != b.passes)
        broken("two plans of the same matrix state different facts");
    const Written other = write(*again, trial.matrix);
    const std::string difference = first_difference(*trial.plan, trial.written, other);
    if (!difference.empty())
        broken("two plans of the same matrix store other bytes: they differ at {}", difference);
    return Outcome::ok;
}

}  // namespace

std::vector<Check> stored_checks() {
    return {{"plan", "the same matrix gives the same plan, description and bytes", repeated},
            {"bands", "stored bytes do not depend on bands and threads", bands},
            {"fill", "every stored byte is written", filled},
            {"scales", "stored scales are finite", scales},
            {"weights", "column weights: ones are none, bands do not matter", weighted},
            {"decode", "a band decodes to the whole's values, finite, inside its view", decoding},
            {"zeros", "a matrix of zeros comes back as zeros", zeros},
            {"rotate", "back(forward(x)) is x; rows do not know each other", rotation}};
}

}  // namespace halftone::conformance
