#include "core/checkpoint/layer_configuration.hpp"

#include "core/base/json.hpp"

namespace halftone {
namespace {

// Writes down what it reads, up to the limit; the rest is only checked.
class Copy {
  public:
    Copy(JsonReader& json, LayerConfiguration& to) : json_(json), to_(to) {}

    void value(bool outermost = false) {
        if (to_.too_long) return json_.skip();
        switch (json_.peek()) {
            case JsonReader::Kind::object:
                return object(outermost);
            case JsonReader::Kind::array:
                return array();
            case JsonReader::Kind::string:
                json_.string(text_);
                return add(quoted(text_));
            case JsonReader::Kind::number:
                return add(json_.number());
            case JsonReader::Kind::literal:
                return add(json_.literal());
        }
    }

  private:
    void object(bool outermost) {
        add("{");
        json_.begin_object();
        bool first = true;
        for (std::string key; json_.next_member(key); first = false) {
            add((first ? "" : ", ") + quoted(key) + ": ");
            const bool is_label = outermost && key == "format";
            if (is_label && json_.peek() == JsonReader::Kind::string) {
                json_.string(to_.label);
                add(quoted(to_.label));
            } else {
                value();
            }
        }
        add("}");
    }

    void array() {
        add("[");
        json_.begin_array();
        for (bool first = true; json_.next_element(); first = false) {
            if (!first) add(", ");
            value();
        }
        add("]");
    }

    static std::string quoted(const std::string& text) { return Json(text).dump(); }

    void add(std::string_view more) {
        to_.too_long = to_.too_long || to_.text.size() + more.size() > largest_configuration;
        if (!to_.too_long) to_.text += more;
    }

    JsonReader& json_;
    LayerConfiguration& to_;
    std::string text_;
};

}  // namespace

LayerConfiguration read_configuration(JsonReader& json) {
    LayerConfiguration result;
    Copy(json, result).value(true);
    return result;
}

}  // namespace halftone
