// The C++20 face of the contract, first part: errors, options, the host. Header-only sugar over the C tables;
// not part of the ABI.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <halftone/halftone.h>

namespace halftone {
inline namespace v1 {

// Throw it where a tensor cannot be taken; the text says why, and which value was seen. In a constructor it
// costs nothing; from fit_fold, fit_seal and companion the host has to start the run again without the
// tensor, or ends it (see format.h). Anything else that is thrown fails the job, also from functions that
// return nothing.
class Refused : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Id and friends, as the descriptor wants them.
struct PluginInfo {
    const char* id;
    const char* version;
    const char* summary;
    const char* license;
    uint32_t host_minor = 0;
};

// {&rows[0], &rows[1], ...}: how the ABI takes arrays of structs that may grow.
template <class T, size_t N>
constexpr std::array<const T*, N> pointers(const T (&rows)[N]) {
    std::array<const T*, N> result{};
    for (size_t i = 0; i < N; ++i)
        result[i] = &rows[i];
    return result;
}

// What a class declares as `options` and `labels`; nothing if it has none.
template <class Plugin>
constexpr std::span<const ht_option> options_of() {
    if constexpr (requires { Plugin::options; })
        return Plugin::options;
    else
        return {};
}
template <class Plugin>
constexpr auto option_pointers() {
    if constexpr (requires { Plugin::options; })
        return pointers(Plugin::options);
    else
        return std::array<const ht_option*, 0>{};
}

// ------------------------------------------------------------------------------------------------ options
// Rows of an option table:
//     static constexpr ht_option options[] = {
//         halftone::choice("scaling", "tensor", scaling_choices, "what shares one scale"),
//         halftone::whole("block_size", "128", 1, 4096, "rows and columns of a tile"),
//     };
constexpr ht_option flag(const char* name, const char* fallback, const char* help) {
    return {sizeof(ht_option), HT_BOOL, name, fallback, help, 0, 0, nullptr};
}
constexpr ht_option whole(const char* name, const char* fallback, double least, double most,
                          const char* help) {
    return {sizeof(ht_option), HT_INT, name, fallback, help, least, most, nullptr};
}
constexpr ht_option real(const char* name, const char* fallback, double least, double most,
                         const char* help) {
    return {sizeof(ht_option), HT_FLOAT, name, fallback, help, least, most, nullptr};
}
constexpr ht_option bytes(const char* name, const char* fallback, double least, double most,
                          const char* help) {
    return {sizeof(ht_option), HT_SIZE, name, fallback, help, least, most, nullptr};
}
constexpr ht_option text(const char* name, const char* fallback, const char* help) {
    return {sizeof(ht_option), HT_TEXT, name, fallback, help, 0, 0, nullptr};
}
// `choices` ends with nullptr and has static storage.
constexpr ht_option choice(const char* name, const char* fallback, const char* const* choices,
                           const char* help) {
    return {sizeof(ht_option), HT_CHOICE, name, fallback, help, 0, 0, choices};
}
constexpr ht_option list(const char* name, const char* fallback, const char* help) {
    return {sizeof(ht_option), HT_LIST, name, fallback, help, 0, 0, nullptr};
}

// The values of a table, by name. Asking for an option that the table does not have, or by another type, is a
// mistake in the plugin and throws std::logic_error.
class Options {
  public:
    Options(std::span<const ht_option> table, ht_values values) : table_(table), values_(values) {}

    bool flag(std::string_view name) const { return at(name, HT_BOOL).whole != 0; }
    int64_t whole(std::string_view name) const { return at(name, HT_INT).whole; }
    uint64_t bytes(std::string_view name) const { return static_cast<uint64_t>(at(name, HT_SIZE).whole); }
    double real(std::string_view name) const { return at(name, HT_FLOAT).real; }
    std::string_view text(std::string_view name) const { return at(name, HT_TEXT).text; }
    std::string_view choice(std::string_view name) const { return at(name, HT_CHOICE).text; }
    // The choice's place in its list, for an enum in the same order.
    template <class Enum>
    Enum choice_as(std::string_view name) const {
        return static_cast<Enum>(at(name, HT_CHOICE).whole);
    }
    std::span<const char* const> list(std::string_view name) const {
        const ht_value& value = at(name, HT_LIST);
        return {value.items, static_cast<size_t>(value.n_items)};
    }

  private:
    const ht_value& at(std::string_view name, ht_type type) const {
        for (size_t i = 0; i < table_.size(); ++i)
            if (name == table_[i].name && type == table_[i].type) return *values_[i];
        throw std::logic_error("the option table has no such option of this type: " + std::string(name));
    }

    std::span<const ht_option> table_;
    ht_values values_;
};

// The same table to be filled in, for recognize().
class OptionsOut {
  public:
    OptionsOut(std::span<const ht_option> table, ht_value* const* values) : table_(table), values_(values) {}

    void set_flag(std::string_view name, bool value) { at(name).whole = value; }
    void set_whole(std::string_view name, int64_t value) { at(name).whole = value; }
    void set_real(std::string_view name, double value) { at(name).real = value; }
    void set_choice(std::string_view name, std::string_view value) {
        for (size_t i = 0; i < table_.size(); ++i)
            if (name == table_[i].name)
                for (int64_t c = 0; table_[i].choices && table_[i].choices[c]; ++c)
                    if (value == table_[i].choices[c]) {
                        values_[i]->whole = c;
                        values_[i]->text = table_[i].choices[c];
                        return;
                    }
        throw std::logic_error("the option table has no such choice: " + std::string(name));
    }

  private:
    ht_value& at(std::string_view name) {
        for (size_t i = 0; i < table_.size(); ++i)
            if (name == table_[i].name) return *values_[i];
        throw std::logic_error("the option table has no such option: " + std::string(name));
    }

    std::span<const ht_option> table_;
    ht_value* const* values_;
};

// ------------------------------------------------------------------------------------------------ the host
namespace detail {
inline const ht_host* current_host = nullptr;  // one per library: symbols are hidden

inline ht_status keep_host(const ht_host* host, ht_error*) noexcept {
    current_host = host;
    return HT_OK;
}
inline void drop_host() noexcept {
    current_host = nullptr;
}

inline ht_status report(ht_error* error, ht_status code, const char* what) noexcept {
    error->code = code;
    std::snprintf(error->text, sizeof error->text, "%s", what);
    return code;
}

// Runs `work` and turns what it throws into a status. Nothing may leave a plugin as an exception.
template <class Work>
ht_status guarded(ht_error* error, Work&& work) noexcept {
    try {
        std::forward<Work>(work)();
        return HT_OK;
    } catch (const Refused& reason) {
        return report(error, HT_REFUSED, reason.what());
    } catch (const std::bad_alloc&) {
        return report(error, HT_NO_MEMORY, "out of memory");
    } catch (const std::exception& problem) {
        return report(error, HT_FAILED, problem.what());
    } catch (...) {
        return report(error, HT_FAILED, "something was thrown that is no std::exception");
    }
}
// The same for functions that return nothing: the host asks afterwards.
template <class Work>
void reported(Work&& work) noexcept {
    ht_error error{};
    error.size = sizeof error;
    const ht_status status = guarded(&error, std::forward<Work>(work));
    const ht_host* const host = current_host;
    if (status == HT_OK) return;
    if (!host || host->size < offsetof(ht_host, broke) + sizeof host->broke || !host->broke) std::abort();
    host->broke(host->self, error.text);
}
}  // namespace detail

// Valid between init and deinit; the CPU level is the baseline before.
inline const ht_host* host() {
    return detail::current_host;
}
inline ht_cpu cpu_level() {
    return detail::current_host ? detail::current_host->cpu : ht_cpu{HT_CPU_BASELINE};
}

inline void log(ht_log_level level, const std::string& text) {
    if (detail::current_host && detail::current_host->log)
        detail::current_host->log(detail::current_host->self, level, text.c_str());
}

}  // namespace v1
}  // namespace halftone
