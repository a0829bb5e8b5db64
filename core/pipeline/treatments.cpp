#include "core/pipeline/treatments.hpp"

#include <array>
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace halftone {

namespace {

void merge_over(GivenOptions& below, const GivenOptions& above) {
    for (const auto& [name, value] : above)
        below.insert_or_assign(name, value);
}

InputScale input_scale_of(const SectionValues& values) {
    const std::string word = values.text("input_scale");
    return word == "always"  ? InputScale::always
           : word == "never" ? InputScale::never
                             : InputScale::automatic;
}

}  // namespace

Treatments::Treatments(Sections& sections) : sections_(sections) {
    const SectionValues& quantize = sections["quantize"];
    if (!quantize.given("format"))
        throw Error(Exit::usage, quantize.where(),
                    fmt::format("[quantize] needs a format{}", meant_by(quantize.options(), {"format"})),
                    "`halftone plugins list` shows what there is");
    const std::string id = quantize.text("format");
    if (id == "keep" && !quantize.options().empty())
        fail(Exit::usage, quantize.options().begin()->second.where,
             "option '{}' has no meaning here: the format \"keep\" has no options",
             text::printable(quantize.options().begin()->first, 60));
    primary_.format = {id, quantize.where("format"), sections_.formats.take(id)};
    merge_over(primary_.format.options, quantize.options());
    primary_.optimizer = optimizer(quantize.text("optimizer"), quantize.where("optimizer"));
    if (quantize.given("full_precision_matrix_mult"))
        primary_.full_precision_matrix_mult = quantize.flag("full_precision_matrix_mult");
    primary_.input_scale = input_scale_of(quantize);
}

PluginChoice Treatments::embeddings() {
    const SectionValues& quantize = sections_["quantize"];
    return format(quantize.text("embeddings"), quantize.where("embeddings"), {});
}

Treatment Treatments::of(const SectionValues& values) {
    Treatment treatment = primary_;
    const bool named = values.given("format") != nullptr;
    treatment.format = format(named ? values.text("format") : primary_.format.id,
                              named ? values.where("format") : primary_.format.where, values.options());
    if (values.given("optimizer"))
        treatment.optimizer = optimizer(values.text("optimizer"), values.where("optimizer"));
    if (values.given("full_precision_matrix_mult"))
        treatment.full_precision_matrix_mult = values.flag("full_precision_matrix_mult");
    if (values.given("input_scale")) treatment.input_scale = input_scale_of(values);
    return treatment;
}

PluginChoice Treatments::format(const std::string& id, std::string where,
                                const GivenOptions& inline_options) {
    PluginChoice choice{id, std::move(where),
                        id == primary_.format.id ? primary_.format.options : sections_.formats.take(id)};
    merge_over(choice.options, inline_options);
    return choice;
}

PluginChoice Treatments::optimizer(const std::string& id, std::string where) {
    return {id, std::move(where), sections_.optimizers.take(id)};
}

std::string meant_by(const GivenOptions& unknown, const std::vector<std::string>& missing) {
    for (const auto& [name, value] : unknown)
        if (const std::optional<std::string> meant = text::closest(name, missing))
            return fmt::format("; did you mean '{}' by '{}' ({})?", *meant, text::printable(name, 60),
                               value.where);
    return {};
}

void refuse_settings(const SectionValues& values, const std::string& because) {
    const auto refuse = [&](std::string_view key, const std::string& where) {
        fail(Exit::usage, where, "'{}' has no meaning here: {}", text::printable(key, 60), because);
    };
    static constexpr std::array<std::string_view, 4> settings = {"format", "optimizer",
                                                                 "full_precision_matrix_mult", "input_scale"};
    for (std::string_view key : settings)
        if (const Entry* entry = values.given(key); entry && entry->value.text != "keep")
            refuse(key, entry->place.text());
    for (const auto& [name, value] : values.options())
        refuse(name, value.where);
}

}  // namespace halftone
