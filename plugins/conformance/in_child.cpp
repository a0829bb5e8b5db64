// A check in a process of its own, which tells of every step before it is taken.

#include <algorithm>
#include <fmt/format.h>
#include <string_view>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/json.hpp"
#include "core/base/os/child.hpp"
#include "core/base/os/fence.hpp"
#include "core/base/os/file.hpp"
#include "core/base/os/foreign_call.hpp"
#include "plugins/call_watch.hpp"
#include "plugins/conformance/conformance.hpp"

namespace halftone::conformance {

namespace {

constexpr const char* calls = "calls";

Json to_json(const Result& one) {
    return {{"check", one.check},
            {"promise", one.promise},
            {"outcome", static_cast<int>(one.outcome)},
            {"cases", one.cases},
            {"detail", one.detail}};
}

Result result_from(const Json& from) {
    return {from.at("check").get<std::string>(), from.at("promise").get<std::string>(),
            static_cast<Outcome>(from.at("outcome").get<int>()), from.at("cases").get<uint64_t>(),
            from.at("detail").get<std::string>()};
}

// The child's side. Lines that are no JSON come from the handler that names a crash.
class Teller : public Observer {
  public:
    explicit Teller(int descriptor) : descriptor_(descriptor) {}

    void tell(const char* what, Json value) const {
        Json line = Json::object();
        line[what] = std::move(value);
        os::write_line(descriptor_, line.dump(-1, ' ', false, Json::error_handler_t::replace));
    }
    void at(const std::string& where) override { tell("at", where); }
    void know(const Result& one) override { tell("row", to_json(one)); }
    void count(uint64_t matrices, uint64_t refused) override {
        tell("count", Json::array({matrices, refused}));
    }

  private:
    int descriptor_;
};

void work(int descriptor, const std::function<std::shared_ptr<PluginLibrary>()>& load, CheckSettings settings,
          double timeout) {
    os::name_foreign_ends({.descriptor = descriptor, .sentence = true});
    os::explain_crashes_with(os::explain_fence);
    Teller teller(descriptor);
    settings.observer = &teller;
    settings.watch = Watch::fenced;
    const CallWatch watch(timeout, [&](const os::ActiveCall& call) {
        os::write_line(descriptor,
                       fmt::format("{} has not returned {} for {:g} s", call.culprit, call.doing(), timeout));
        os::end_process(static_cast<int>(Exit::plugin));
    });
    try {
        const std::shared_ptr<PluginLibrary> library = load();
        const PluginFile& file = library->file();
        teller.tell("subject", Json::array({kind_name(file.kind), file.id, library->name(),
                                            library->descriptor().version, os::utf8(file.path)}));
        const Report report = check(library, settings);
        for (const Result& one : report.results)
            teller.know(one);
        teller.count(report.matrices, report.refused);
        teller.tell("end", report.remarks);
    } catch (const Error& error) {
        teller.tell("error", Json::array({static_cast<int>(error.code()), error.where(), error.problem(),
                                          error.advice()}));
    } catch (const std::exception& problem) {
        teller.tell("error", Json::array({static_cast<int>(Exit::failed), "", problem.what(), ""}));
    }
}

// What the parent has heard.
class Heard {
  public:
    void hear(std::string_view line) {
        const Json told = Json::parse(line, nullptr, false);
        if (!told.is_object() || told.size() != 1)
            sentence_ = line;
        else
            hear(told.begin().key(), told.begin().value());
    }

    Report report(const os::ChildEnd& end, const std::string& named) {
        if (!error_.is_null())
            throw Error(static_cast<Exit>(error_[0].get<int>()), error_[1].get<std::string>(),
                        error_[2].get<std::string>(), error_[3].get<std::string>());
        if (ended_ && end.code == 0 && end.signal == 0) return std::move(report_);
        fail_calls(end, named);
        return std::move(report_);
    }

  private:
    void hear(const std::string& what, const Json& value) {
        if (what == "at") {
            at_ = value.get<std::string>();
        } else if (what == "row") {
            const Result row = result_from(value);
            const auto known = std::ranges::find(report_.results, row.check, &Result::check);
            if (known == report_.results.end())
                report_.results.push_back(row);
            else
                *known = row;
        } else if (what == "count") {
            report_.matrices = value.at(0).get<uint64_t>();
            report_.refused = value.at(1).get<uint64_t>();
        } else if (what == "subject") {
            const auto texts = value.get<std::vector<std::string>>();
            report_.subject = {texts.at(0), texts.at(1), texts.at(2), texts.at(3), texts.at(4)};
        } else if (what == "error") {
            error_ = value;
        } else if (what == "end") {
            report_.remarks = value.get<std::vector<std::string>>();
            ended_ = true;
        }
    }

    // A report that is missing is a failure, however politely the process ended.
    void fail_calls(const os::ChildEnd& end, const std::string& named) {
        std::string what = sentence_;
        if (what.empty())
            what = fmt::format("the process ended with {} before the check was done", end.told());
        if (report_.subject.name.empty())
            throw Error(Exit::plugin, sentence_.empty() ? named : "", what,
                        "the plugin is at fault: tell its authors");
        const std::string culprit = fmt::format("{} ({}) ", report_.subject.name, report_.subject.path);
        if (what.starts_with(culprit)) what.erase(0, culprit.size());
        for (Result& one : report_.results)
            if (one.outcome == Outcome::ok || one.outcome == Outcome::not_applicable)
                one.outcome = Outcome::unfinished;
        auto row = std::ranges::find(report_.results, calls, &Result::check);
        if (row == report_.results.end())
            row = report_.results.insert(
                row, {calls,
                      "calls return, write only what they are given, keep the floating-point mode",
                      Outcome::failed,
                      0,
                      {}});
        row->outcome = Outcome::failed;
        report_.finished = false;
        row->detail = at_.empty() ? what : fmt::format("{} [{}]", what, at_);
    }

    Report report_;
    std::string at_, sentence_;
    Json error_;
    bool ended_ = false;
};

}  // namespace

Report check_in_child(const std::function<std::shared_ptr<PluginLibrary>()>& load, CheckSettings settings,
                      double timeout) {
    Heard heard;
    const os::ChildEnd end = os::in_child([&](int descriptor) { work(descriptor, load, settings, timeout); },
                                          [&](std::string_view line) { heard.hear(line); });
    return heard.report(end, settings.named);
}

Report check(std::shared_ptr<PluginLibrary> library, const CheckSettings& settings) {
    const ht_kind kind = library->descriptor().kind;
    if (kind == HT_KIND_FORMAT) return check_format(std::move(library), settings);
    if (kind == HT_KIND_MODEL) return check_model(std::move(library), settings);
    throw Error(Exit::usage, library->name(), "only formats and model profiles can be checked yet");
}

}  // namespace halftone::conformance
