#include "core/base/json_text.hpp"

#include <cstddef>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace halftone {
namespace {

// In linear time and without a tree. Text that is not JSON may have such brackets as well.
bool has_deep_brackets(std::string_view json) {
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < json.size(); ++i) {
        const char c = json[i];
        if (quoted && c == '\\')
            ++i;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '[' || c == '{') && ++depth > deepest_json)
            return true;
        else if (!quoted && (c == ']' || c == '}'))
            --depth;
    }
    return false;
}

// Builds a value whose members keep their order. The library's own way searches all members of an object for
// each that it adds.
class Builder : public nlohmann::json_sax<Json> {
  public:
    Json take() { return std::move(root_); }
    bool is_too_deep() const { return is_too_deep_; }

    bool null() override { return put(nullptr); }
    bool boolean(bool value) override { return put(value); }
    bool number_integer(number_integer_t value) override { return put(value); }
    bool number_unsigned(number_unsigned_t value) override { return put(value); }
    bool number_float(number_float_t value, const string_t&) override { return put(value); }
    bool string(string_t& value) override { return put(std::move(value)); }
    bool binary(binary_t&) override { return false; }
    bool key(string_t& name) override {
        open_.back().key = std::move(name);
        return true;
    }
    bool start_object(size_t) override { return open(Json::object()); }
    bool end_object() override { return close(); }
    bool start_array(size_t) override { return open(Json::array()); }
    bool end_array() override { return close(); }
    bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override {
        return false;
    }

  private:
    struct Open {
        Json* value;
        std::string key;                                 // that a value is read for
        std::unordered_map<std::string, size_t> places;  // of members
    };

    bool put(Json value) {
        place(std::move(value));
        return true;
    }
    bool open(Json value) {
        is_too_deep_ = open_.size() == deepest_json;
        if (is_too_deep_) return false;
        open_.push_back({place(std::move(value)), {}, {}});
        return true;
    }
    bool close() {
        open_.pop_back();
        return true;
    }

    // What holds the value does not grow before all of it is read: the address stays.
    Json* place(Json value) {
        if (open_.empty()) return &(root_ = std::move(value));
        Open& in = open_.back();
        if (in.value->is_array()) {
            in.value->push_back(std::move(value));
            return &in.value->back();
        }
        Json::object_t::Container& members = in.value->get_ref<Json::object_t&>();
        const auto [at, is_new] = in.places.emplace(in.key, members.size());
        if (is_new)
            members.emplace_back(std::move(in.key), std::move(value));
        else
            members[at->second].second = std::move(value);
        return &members[at->second].second;
    }

    Json root_;
    std::vector<Open> open_;
    bool is_too_deep_ = false;
};

}  // namespace

bool is_nested_too_deeply(std::string_view json) {
    if (!has_deep_brackets(json)) return false;
    Builder builder;
    static_cast<void>(Json::sax_parse(json, &builder));
    return builder.is_too_deep();
}

Json parse_json(std::string_view json) {
    Builder builder;
    return Json::sax_parse(json, &builder) ? builder.take() : Json(Json::value_t::discarded);
}

SortedJson parse_sorted_json(std::string_view json) {
    if (has_deep_brackets(json)) return SortedJson(SortedJson::value_t::discarded);
    return SortedJson::parse(json, nullptr, /*allow_exceptions=*/false);
}

}  // namespace halftone
