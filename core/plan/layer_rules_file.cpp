// How loaders.toml writes what a loader does with the layers of a label.

#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "core/base/text.hpp"
#include "core/plan/arithmetic.hpp"
#include "core/plan/data_file.hpp"
#include "core/plan/layer_rules.hpp"
#include "plugins/labels.hpp"

namespace halftone {
namespace {

using data_file::refuse;
using data_file::Table;
using data_file::text_of;

const std::vector<std::string> kinds = {"matrix", "embedding", "stack"};

// Reads one [[layer]], and knows the names that its expressions may use.
class Reader {
  public:
    explicit Reader(const Node& node)
        : table_(node, "[[layer]]",
                 {"loader", "labels", "kind", "refuses", "weight", "flat", "dtypes", "converted", "truths",
                  "numbers", "texts", "let", "must", "tensors", "breaks", "since", "activations", "hardware",
                  "remark"}) {}

    LayerRule run() {
        rule_.loader = text_of(table_.required("loader"), table_.what("loader"));
        table_.required("labels");
        table_.read("labels", rule_.labels);
        std::string kind = kinds.front();
        table_.read("kind", kind);
        const auto found = std::ranges::find(kinds, kind);
        if (found == kinds.end())
            refuse(table_.given("kind")->place,
                   fmt::format("{}: there is no '{}'{}", table_.what("kind"), text::printable(kind, 60),
                               text::did_you_mean(kind, kinds)));
        rule_.kind = static_cast<LayerKind>(found - kinds.begin());
        table_.read("refuses", rule_.refuses);
        if (rule_.refuses.empty()) table_.required("weight"), table_.required("dtypes");
        table_.read("weight", rule_.weight);
        table_.read_dtypes("dtypes", rule_.dtypes);
        table_.read("converted", rule_.converted);
        for (const std::string& side : rule_.weight)
            names_.insert(side);
        collect_names();
        read_marker();
        read_expression(table_, "flat", rule_.flat);
        read_let();
        read_tensors();
        read_conditions();
        read_breaks();
        table_.read("since", rule_.since);
        table_.read("activations", rule_.activations);
        table_.read("hardware", rule_.hardware);
        table_.read("remark", rule_.remark);
        if (rule_.since && !rule_.since->empty() && !is_since(*rule_.since))
            refuse(table_.given("since")->place,
                   fmt::format("'{}' is neither a month nor a version", text::printable(*rule_.since, 60)));
        return std::move(rule_);
    }

  private:
    template <typename F>
    void each(const Table& table, std::string_view key, const F& read) {
        if (const Node* list = table.list(key))
            for (const Node& item : list->items)
                read(item);
    }

    // Before anything is read: an expression may use a name that is explained further down.
    void collect_names() {
        for (const std::string_view key : {"truths", "numbers"})
            each(table_, key, [&](const Node& item) {
                if (const Entry* name = item.find("name")) names_.insert(name->value.text);
            });
        if (const Node* let = table_.table("let"))
            for (const Entry& entry : let->entries)
                names_.insert(entry.key);
        each(table_, "tensors", [&](const Node& item) {
            if (const Entry* shapes = item.find("shapes"))
                for (const Node& shape : shapes->value.items)
                    for (const std::string& side : text::split(shape.text, ' '))
                        if (side.find_first_of("0123456789*/+-(%") == std::string::npos) names_.insert(side);
        });
    }

    std::string expression(const Node& node, const std::string& what) const {
        const std::string& text = text_of(node, what);
        std::string unknown;
        const std::string problem = arithmetic::problem_of(text, [&](std::string_view name) {
            if (!names_.contains(std::string(name)) && !name.starts_with("has_") &&
                !name.starts_with("rank_"))
                unknown = name;
        });
        if (!problem.empty())
            refuse(node.place,
                   fmt::format("{}: '{}' cannot be computed: {}", what, text::printable(text, 60), problem));
        if (!unknown.empty())
            refuse(node.place,
                   fmt::format("{}: nothing says what '{}' is", what, text::printable(unknown, 60)));
        return text;
    }
    void read_expression(const Table& table, std::string_view key, std::string& to) const {
        if (const Node* node = table.given(key)) to = expression(*node, table.what(key));
    }

    void read_marker() {
        each(table_, "truths", [&](const Node& item) {
            const Table table(item, "each of [[layer]] truths", {"name", "keys"});
            LayerRule::Truth truth{text_of(table.required("name"), table.what("name")), {}};
            table.required("keys");
            table.read("keys", truth.keys);
            rule_.truths.push_back(std::move(truth));
        });
        each(table_, "numbers", [&](const Node& item) {
            const Table table(item, "each of [[layer]] numbers", {"name", "keys", "default", "when"});
            LayerRule::Number number{text_of(table.required("name"), table.what("name")), {}, {}, {}};
            table.required("keys");
            table.read("keys", number.keys);
            if (const Node* value = table.given("default")) {
                if (value->kind != Node::Kind::integer)
                    refuse(value->place, table.what("default") + " must be a whole number");
                number.fallback = value->integer;
            }
            read_expression(table, "when", number.when);
            rule_.numbers.push_back(std::move(number));
        });
        each(table_, "texts", [&](const Node& item) {
            const Table table(item, "each of [[layer]] texts", {"keys", "default", "only"});
            LayerRule::Text text;
            table.required("keys"), table.required("only");
            table.read("keys", text.keys);
            table.read("default", text.fallback);
            table.read("only", text.only);
            rule_.texts.push_back(std::move(text));
        });
    }

    void read_let() {
        const Node* let = table_.table("let");
        if (!let) return;
        for (const Entry& entry : let->entries)
            rule_.let.emplace_back(entry.key, expression(entry.value, table_.what("let." + entry.key)));
    }

    void read_tensors() {
        each(table_, "tensors", [&](const Node& item) {
            const Table table(
                item, "each of [[layer]] tensors",
                {"name", "optional", "dtypes", "shapes", "first", "bytes", "like", "must", "why"});
            LayerRule::Needed needed;
            needed.name = text_of(table.required("name"), table.what("name"));
            needed.optional = table.flag("optional").value_or(false);
            table.read_dtypes("dtypes", needed.dtypes);
            table.read("shapes", needed.shapes);
            if (const Node* shapes = table.list("shapes"))
                for (const Node& shape : shapes->items)
                    for (const std::string& side : text::split(shape.text, ' '))
                        if (!side.empty()) {
                            Node one = shape;
                            one.text = side;
                            expression(one, table.what("shapes"));
                        }
            read_expression(table, "first", needed.first);
            read_expression(table, "bytes", needed.bytes);
            table.read("like", needed.like);
            read_expression(table, "must", needed.must);
            table.read("why", needed.why);
            rule_.tensors.push_back(std::move(needed));
        });
    }

    void read_conditions() {
        each(table_, "must", [&](const Node& item) {
            const Table table(item, "each of [[layer]] must", {"holds", "why"});
            rule_.must.push_back({expression(table.required("holds"), table.what("holds")),
                                  text_of(table.required("why"), table.what("why"))});
        });
    }

    void read_breaks() {
        each(table_, "breaks", [&](const Node& item) {
            const Table table(item, "each of [[layer]] breaks", {"name", "why"});
            rule_.breaks.push_back({text_of(table.required("name"), table.what("name")),
                                    text_of(table.required("why"), table.what("why"))});
        });
    }

    Table table_;
    LayerRule rule_;
    std::set<std::string> names_;
};

}  // namespace

LayerRule read_layer_rule(const Node& node) {
    return Reader(node).run();
}

}  // namespace halftone
