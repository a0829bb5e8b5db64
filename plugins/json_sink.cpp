#include "plugins/json_sink.hpp"

#include <cmath>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/text.hpp"

namespace halftone {
namespace {

class Builder {
  public:
    Builder() { open_.push_back(&root_); }

    // Members of the sink may not throw: the first problem is kept and told at the end.
    template <class Work>
    void guarded(Work&& work) noexcept {
        if (!problem_.empty()) return;
        try {
            work();
        } catch (const std::exception& problem) {
            problem_ = problem.what();
        }
    }

    void add(const char* key, Json value) {
        if (!key || !*key || !text::is_utf8(key)) throw std::runtime_error("a key is missing or no UTF-8");
        Json& object = *open_.back();
        if (object.contains(key)) throw std::runtime_error(fmt::format("the key '{}' is there twice", key));
        object[key] = std::move(value);
    }

    void begin(const char* key) {
        if (open_.size() > 16) throw std::runtime_error("its objects lie too deep");
        add(key, Json::object());
        open_.push_back(&open_.back()->at(key));
    }

    void end() {
        if (open_.size() == 1) throw std::runtime_error("end() without begin()");
        open_.pop_back();
    }

    Json finish(const std::string& culprit) {
        if (problem_.empty() && open_.size() > 1) problem_ = "an object is left open";
        if (!problem_.empty())
            fail(Exit::plugin, culprit, "its description is no sound object: {}", problem_);
        return std::move(root_);
    }

  private:
    Json root_ = Json::object();
    std::vector<Json*> open_;  // the way to the innermost object; parents do not grow while a child is open
    std::string problem_;
};

Builder& of(void* self) {
    return *static_cast<Builder*>(self);
}

std::string checked(const char* value) {
    if (!value || !text::is_utf8(value)) throw std::runtime_error("a text is missing or no UTF-8");
    return value;
}

double checked(double value) {
    if (!std::isfinite(value)) throw std::runtime_error("a number is not finite");
    return value;
}

void add_text(void* self, const char* key, const char* value) noexcept {
    of(self).guarded([&] { of(self).add(key, checked(value)); });
}

void add_whole(void* self, const char* key, int64_t value) noexcept {
    of(self).guarded([&] { of(self).add(key, value); });
}

void add_real(void* self, const char* key, double value) noexcept {
    of(self).guarded([&] { of(self).add(key, checked(value)); });
}

void add_boolean(void* self, const char* key, int32_t value) noexcept {
    of(self).guarded([&] { of(self).add(key, value != 0); });
}

void add_wholes(void* self, const char* key, const int64_t* values, uint64_t n) noexcept {
    of(self).guarded([&] {
        Json list = Json::array();
        for (int64_t value : std::span(values, static_cast<size_t>(n)))
            list.push_back(value);
        of(self).add(key, std::move(list));
    });
}

void add_reals(void* self, const char* key, const double* values, uint64_t n) noexcept {
    of(self).guarded([&] {
        Json list = Json::array();
        for (double value : std::span(values, static_cast<size_t>(n)))
            list.push_back(checked(value));
        of(self).add(key, std::move(list));
    });
}

void begin_object(void* self, const char* key) noexcept {
    of(self).guarded([&] { of(self).begin(key); });
}

void end_object(void* self) noexcept {
    of(self).guarded([&] { of(self).end(); });
}

}  // namespace

Json json_from_sink(const std::string& culprit, const std::function<void(const ht_json*)>& tell) {
    Builder builder;
    const ht_json sink{sizeof(ht_json), 0,          &builder,  add_text,     add_whole, add_real,
                       add_boolean,     add_wholes, add_reals, begin_object, end_object};
    tell(&sink);
    return builder.finish(culprit);
}

}  // namespace halftone
