#include "core/plan/recipe.hpp"

#include "core/base/json.hpp"
#include "core/base/text.hpp"
#include "core/base/version.hpp"
#include "core/plan/metadata.hpp"

namespace halftone {

GivenOptions explicit_options(const OptionTable& table, const OptionValues& values) {
    GivenOptions result;
    for (size_t i = 0; i < table.size(); ++i) {
        const ht_value& value = *values.abi()[i];
        GivenValue given;
        switch (table.row(i).type) {
            case HT_BOOL:
                given.value = value.whole != 0;
                break;
            case HT_INT:
            case HT_SIZE:
                given.value = value.whole;
                break;
            case HT_FLOAT:
                given.value = value.real;
                break;
            case HT_LIST:
                given.value = std::vector<std::string>(value.items, value.items + value.n_items);
                break;
            default:
                given.value = std::string(value.text);
        }
        result.emplace(table.row(i).name, std::move(given));
    }
    return result;
}

std::string add_recipe(Metadata& metadata, Pipeline effective, const std::vector<std::string>& plugins,
                       const Checkpoint& checkpoint, const PlanTotals& totals) {
    effective.input.path.clear();
    effective.output.path.clear();
    effective.output.replace = false;
    effective.run = {};
    effective.report = {};
    const std::string recipe = print_pipeline(effective, {.paths = false});

    Json sources = Json::array();
    for (const CheckpointFile& file : checkpoint.files()) {
        Json source;
        source["size"] = file.size;
        source["header_sha256"] = file.header_sha256;
        sources.push_back(std::move(source));
    }
    Json result;
    result["quantized"] = totals.quantized;
    result["kept"] = totals.kept;
    result["narrowed"] = totals.cast;
    result["removed"] = totals.removed;
    result["bytes_before"] = totals.bytes_before;
    result["bytes_after"] = totals.bytes_after;

    set_metadata(metadata, "halftone.version", version());
    set_metadata(metadata, "halftone.plugins", text::join(plugins, ", "));
    set_metadata(metadata, "halftone.source", python_json(sources));
    set_metadata(metadata, "halftone.result", python_json(result));
    set_metadata(metadata, "halftone.recipe", recipe);
    return recipe;
}

}  // namespace halftone
