// What a profile answers about headers and tensors, whatever their names.

#include <algorithm>
#include <string_view>
#include <thread>

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "plugins/call.hpp"
#include "plugins/conformance/trial.hpp"
#include "plugins/model.hpp"

namespace halftone::conformance {

namespace {

constexpr ht_dtype dtypes[] = {HT_DTYPE_BF16, HT_DTYPE_F32, HT_DTYPE_U8, HT_DTYPE_I64, HT_DTYPE_BOOL};

// Names as models have them, and names that no model has.
std::vector<std::string> names() {
    std::vector<std::string> all = {"",
                                    ".",
                                    "weight",
                                    ".weight",
                                    "a..b.weight",
                                    "\xc3\xbc.weight",
                                    "\xff\xfe.weight",
                                    "%s%n.weight",
                                    "a\nb.weight",
                                    std::string(5000, 'x') + ".weight"};
    for (const char* block : {"blocks.0.", "double_blocks.18.", "transformer_blocks.3.",
                              "layers.999999999999999999999.", "model.layers.2.", "encoder.block.0.layer.1."})
        for (const char* part : {"attn.qkv.weight", "mlp.0.weight", "mlp.fc2.bias", "norm.scale",
                                 "modulation.lin.weight", "adaLN_modulation.1.weight", "proj"})
            all.push_back(std::string(block) + part);
    for (const char* one :
         {"img_in.weight", "txt_in.weight", "final_layer.linear.weight", "pos_embed", "lm_head.weight",
          "embed_tokens.weight", "time_in.in_layer.weight", "x_embedder.proj.weight"})
        all.emplace_back(one);
    return all;
}

std::vector<TensorFacts> tensors(Random& random) {
    std::vector<TensorFacts> all;
    for (const std::string& name : names()) {
        std::vector<uint64_t> shape(random.below(HT_MAX_RANK + 1));
        if (random.one_in(2)) shape.resize(2);
        for (uint64_t& extent : shape)
            extent = random.one_in(9) ? 0 : 1 + random.below(5000);
        all.push_back({name, dtypes[random.below(std::size(dtypes))], shape});
    }
    std::ranges::sort(all, {}, &TensorFacts::name);
    return all;
}

void check_text(const std::string& text, const char* what, const std::string& about) {
    if (text.find("\\x") != std::string::npos || text.find("\\n") != std::string::npos)
        broken("{} of {} is not one line of UTF-8: {}", what, about, text);
}

class ModelCheck {
  public:
    ModelCheck(const std::shared_ptr<PluginLibrary>& library, const CheckSettings& settings)
        : model_(library), settings_(settings), random_(settings.seed, 0) {}

    Report run() {
        know(calls_);
        for (const auto& [name, promise, work] :
             {Part{"score", "a header is judged alike each time, with evidence", &ModelCheck::score},
              Part{"decide", "every tensor gets the same valid verdict each time, with a reason",
                   &ModelCheck::decide},
              Part{"threads", "verdicts may be asked for by several threads", &ModelCheck::threads}}) {
            Result result{name, promise, Outcome::ok, 0, {}};
            try {
                (this->*work)(result);
            } catch (const Broken& reason) {
                result.outcome = Outcome::failed;
                result.detail = reason.what();
            } catch (const Error& error) {
                if (error.code() != Exit::plugin) throw;
                result.outcome = Outcome::not_applicable;
                if (calls_.outcome != Outcome::failed) calls_.detail = error.problem();
                calls_.outcome = Outcome::failed;
            }
            know(result);
            report_.results.push_back(std::move(result));
        }
        report_.results.push_back(calls_);
        return std::move(report_);
    }

  private:
    struct Part {
        const char *name, *promise;
        void (ModelCheck::*work)(Result&);
    };

    void know(const Result& result) const {
        if (settings_.observer) settings_.observer->know(result);
    }
    void at(std::string where) const {
        if (settings_.observer) settings_.observer->at(where);
    }

    void score(Result& result) {
        for (int round = 0; round < 12; ++round) {
            HeaderFacts header;
            if (round > 0) header.tensors = tensors(random_);
            if (round % 3 == 1) header.tensors.resize(random_.below(header.tensors.size()));
            if (round % 2) header.metadata = {{"format", "pt"}, {"modelspec.architecture", "\xff"}};
            const std::string about = fmt::format("a header of {} tensors", header.tensors.size());
            at("during 'score', " + about);
            const Score first = model_.score(header), again = model_.score(header);
            ++result.cases;
            if (first.points != again.points || first.evidence != again.evidence)
                broken("score() of {} gives {} points ('{}'), and then {} ('{}')", about, first.points,
                       first.evidence, again.points, again.evidence);
            if (first.points > 0 && first.evidence.empty())
                broken("score() of {} gives {} points without evidence", about, first.points);
            check_text(first.evidence, "the evidence", about);
            if (header.tensors.empty() && first.points > 0)
                broken("score() gives {} points ('{}') to a header without any tensor", first.points,
                       first.evidence);
        }
    }

    std::vector<OptionValues> all_options() {
        std::vector<OptionValues> all;
        const PluginLibrary& library = model_.library();
        for (const OptionChoice& choice : option_choices(random_, library.options()))
            all.push_back(OptionValues::resolve(library.options(), choice.given, library.name()));
        return all;
    }

    void decide(Result& result) {
        for (const OptionValues& options : all_options())
            for (const TensorFacts& tensor : tensors(random_)) {
                const std::string about = fmt::format("'{}' of shape [{}]", text::printable(tensor.name, 60),
                                                      fmt::join(tensor.shape, ", "));
                at("during 'decide', " + about);
                const Verdict first = model_.decide(options, tensor), again = model_.decide(options, tensor);
                ++result.cases;
                if (first.action != again.action || first.flags != again.flags ||
                    first.reason != again.reason)
                    broken("decide() about {} says {} ('{}'), and then {} ('{}')", about, first.action,
                           first.reason, again.action, again.reason);
                if (first.action != HT_ACTION_QUANTIZE && first.reason.empty())
                    broken("decide() keeps or removes {} without a reason", about);
                check_text(first.reason, "the reason", about);
            }
    }

    void threads(Result& result) {
        const std::vector<TensorFacts> all = tensors(random_);
        const OptionValues options = all_options().front();
        at("during 'threads'");
        const auto verdicts = [&] {
            std::string text;
            for (const TensorFacts& tensor : all) {
                const Verdict one = model_.decide(options, tensor);
                text += fmt::format("{} {} {}\n", one.action, one.flags, one.reason);
            }
            return text;
        };
        const std::string expected = verdicts();
        std::vector<std::string> found(4);
        std::vector<std::exception_ptr> failures(found.size());
        std::vector<std::thread> running;
        for (size_t i = 0; i < found.size(); ++i)
            running.emplace_back([&, i] {
                try {
                    found[i] = verdicts();
                } catch (...) {
                    failures[i] = std::current_exception();
                }
            });
        for (std::thread& one : running)
            one.join();
        for (const std::exception_ptr& one : failures)
            if (one) std::rethrow_exception(one);
        result.cases = found.size();
        if (std::ranges::any_of(found, [&](const std::string& one) { return one != expected; }))
            broken("decide() says other things while several threads ask it");
    }

    Model model_;
    const CheckSettings& settings_;
    Random random_;
    Result calls_{"calls",
                  "calls return, write only what they are given, keep the floating-point mode",
                  Outcome::ok,
                  1,
                  {}};
    Report report_;
};

}  // namespace

Report check_model(std::shared_ptr<PluginLibrary> library, const CheckSettings& settings) {
    return ModelCheck(library, settings).run();
}

}  // namespace halftone::conformance
