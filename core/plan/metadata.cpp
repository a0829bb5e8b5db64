#include "core/plan/metadata.hpp"

#include <algorithm>
#include <map>

#include "core/base/json_text.hpp"

namespace halftone {
namespace {

constexpr const char* quantization_key = "_quantization_metadata";

// Entries that tell of the old contents as a whole and are false as soon as anything changes.
bool describes_old_contents(const std::string& key) {
    return key == "modelspec.hash_sha256" || key.starts_with("sshs_") || key.starts_with("halftone.");
}

const std::string* quantization_text(const Metadata& metadata) {
    const auto entry = std::ranges::find(metadata, quantization_key, &Metadata::value_type::first);
    return entry == metadata.end() ? nullptr : &entry->second;
}

// The quantization metadata of one file, as an object with an object of layers in it.
Json quantization_of(const Metadata& metadata) {
    const std::string* text = quantization_text(metadata);
    Json parsed = text ? parse_json(*text) : Json();
    if (!parsed.is_object()) parsed = Json{{"format_version", "1.0"}};
    if (!parsed.contains("layers") || !parsed["layers"].is_object()) parsed["layers"] = Json::object();
    return parsed;
}

// Whether the files' entries hold for the output as they are: then they are not written anew, but kept to the
// byte.
bool still_true(const std::vector<Metadata>& files, const LayerChanges& changes) {
    if (!changes.written.empty() || files.size() != 1) return false;
    const Json old = quantization_of(files.front());
    const auto& layers = old["layers"].get_ref<const Json::object_t&>();
    return std::ranges::none_of(layers,
                                [&](const auto& entry) { return changes.touched.contains(entry.first); });
}

// Entries in the order in which they came first. An object of the JSON library would search all of them for
// each that is set.
class Layers {
  public:
    void set(const std::string& layer, Json configuration) {
        const auto [at, is_new] = places_.emplace(layer, entries_.size());
        if (is_new)
            entries_.emplace_back(layer, std::move(configuration));
        else
            entries_[at->second].second = std::move(configuration);
    }
    bool empty() const { return entries_.empty(); }
    Json take() {
        Json layers = Json::object();
        static_cast<Entries&>(layers.get_ref<Json::object_t&>()) = std::move(entries_);
        return layers;
    }

  private:
    using Entries = Json::object_t::Container;
    Entries entries_;
    std::map<std::string, size_t> places_;
};

}  // namespace

std::string python_json(const Json& value) {
    std::string result;
    if (value.is_object()) {
        for (const auto& [key, member] : value.items())
            result += (result.empty() ? "" : ", ") + Json(key).dump() + ": " + python_json(member);
        return "{" + result + "}";
    }
    if (value.is_array()) {
        for (const Json& item : value)
            result += (result.empty() ? "" : ", ") + python_json(item);
        return "[" + result + "]";
    }
    return value.dump();
}

Metadata output_metadata(const Metadata& input, const std::vector<Metadata>& files,
                         const LayerChanges& changes) {
    const bool verbatim = still_true(files, changes);
    Metadata result;
    std::ranges::copy_if(input, std::back_inserter(result), [&](const auto& entry) {
        return !describes_old_contents(entry.first) && (verbatim || entry.first != quantization_key);
    });
    if (verbatim) return result;

    Json whole = quantization_of(input);
    Layers layers;
    for (const Metadata& file : files) {
        Json old = quantization_of(file);
        for (auto& [layer, configuration] : old["layers"].get_ref<Json::object_t&>())
            if (!changes.touched.contains(layer)) layers.set(layer, std::move(configuration));
    }
    for (const auto& [layer, configuration] : changes.written)
        layers.set(layer, configuration);
    if (layers.empty()) return result;
    whole["layers"] = layers.take();
    result.emplace_back(quantization_key, python_json(whole));
    return result;
}

void set_metadata(Metadata& metadata, const std::string& key, std::string value) {
    const auto entry = std::ranges::find(metadata, key, &Metadata::value_type::first);
    if (entry != metadata.end())
        entry->second = std::move(value);
    else
        metadata.emplace_back(key, std::move(value));
}

}  // namespace halftone
