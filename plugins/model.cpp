#include "plugins/model.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "core/base/error.hpp"
#include "plugins/abi_copy.hpp"
#include "plugins/call.hpp"

namespace halftone {
namespace {

constexpr uint32_t known_flags = HT_VERDICT_INPUT_SCALE | HT_VERDICT_ROWS | HT_VERDICT_COLUMNS;

ht_tensor abi_tensor(const TensorFacts& from) {
    ht_tensor to{};
    to.size = sizeof to;
    to.dtype = from.dtype;
    to.name = from.name.c_str();
    to.rank = static_cast<uint32_t>(std::min<size_t>(from.shape.size(), HT_MAX_RANK));
    std::copy_n(from.shape.begin(), to.rank, to.shape);
    return to;
}

// The caller may know a shorter struct than the host.
int32_t give(const TensorFacts& from, ht_tensor* out) {
    const ht_tensor full = abi_tensor(from);
    const uint32_t size = out->size;
    std::memcpy(out, &full, std::min<size_t>(size, sizeof full));
    out->size = size;
    return 1;
}

const HeaderFacts& of(void* self) {
    return *static_cast<const HeaderFacts*>(self);
}

uint64_t count(void* self) noexcept {
    return of(self).tensors.size();
}

int32_t at(void* self, uint64_t i, ht_tensor* out) noexcept {
    return i < of(self).tensors.size() ? give(of(self).tensors[static_cast<size_t>(i)], out) : 0;
}

int32_t find(void* self, const char* name, ht_tensor* out) noexcept {
    if (!name) return 0;
    const auto& tensors = of(self).tensors;
    const auto found = std::ranges::lower_bound(tensors, std::string_view(name), {}, &TensorFacts::name);
    return found != tensors.end() && found->name == name ? give(*found, out) : 0;
}

const char* metadata(void* self, const char* key) noexcept {
    for (const auto& [name, value] : of(self).metadata)
        if (key && name == key) return value.c_str();
    return nullptr;
}

}  // namespace

Model::Model(std::shared_ptr<PluginLibrary> library) : library_(std::move(library)) {
    const std::string& culprit = library_->culprit();
    if (library_->descriptor().kind != HT_KIND_MODEL) fail(Exit::plugin, culprit, "is no model profile");
    table_ = copied(static_cast<const ht_model*>(library_->descriptor().table));
    if (!table_.score) fail(Exit::plugin, culprit, "its function table has no score()");
    if (!table_.decide) fail(Exit::plugin, culprit, "its function table has no decide()");
}

Score Model::score(const HeaderFacts& facts) const {
    const ht_header header{sizeof(ht_header), 0, const_cast<HeaderFacts*>(&facts), count, at, find, metadata};
    ht_score score{};
    score.size = sizeof score;
    call(library_->culprit(), "score()", table_.score, &header, &score);
    return {std::max(score.points, 0), shown({score.evidence, sizeof score.evidence})};
}

Verdict Model::decide(const OptionValues& options, const TensorFacts& facts) const {
    const ht_tensor tensor = abi_tensor(facts);
    ht_verdict verdict{};
    verdict.size = sizeof verdict;
    try {
        call_checked(library_->culprit(), "decide()", table_.decide, options.abi(), &tensor, &verdict);
    } catch (const Refusal& reason) {
        // A profile has nothing to refuse: it keeps what it does not know.
        fail(Exit::plugin, library_->culprit(), "decide() failed for '{}': {}", facts.name, reason.what());
    }
    if (verdict.action < HT_ACTION_QUANTIZE || verdict.action > HT_ACTION_REMOVE)
        fail(Exit::plugin, library_->culprit(), "decide() answered with the unknown action {} for '{}'",
             verdict.action, facts.name);
    if (verdict.flags & ~known_flags)
        fail(Exit::plugin, library_->culprit(), "decide() answered with unknown flags ({:#x}) for '{}'",
             verdict.flags & ~known_flags, facts.name);
    return {verdict.action, verdict.flags, shown({verdict.reason, sizeof verdict.reason})};
}

}  // namespace halftone
