#include "plugins/optimizer.hpp"

#include <utility>

#include "core/base/error.hpp"
#include "plugins/abi_copy.hpp"
#include "plugins/call.hpp"

namespace halftone {
namespace {

void check_operation(const ht_op& op, const std::string& culprit) {
    if (op.size < HALFTONE_SIZE_TO(ht_op, cpu))
        fail(Exit::plugin, culprit, "an operation of its has {} bytes, where the contract needs {}", op.size,
             HALFTONE_SIZE_TO(ht_op, cpu));
    const std::string name = op.name ? shown(op.name) : "without a name";
    if (!op.name || !op.cpu) fail(Exit::plugin, culprit, "its operation {} is incomplete", name);
    if (op.kind < HT_OP_ELEMENT || op.kind > HT_OP_SCALAR)
        fail(Exit::plugin, culprit, "its operation '{}' is of the unknown kind {}", name, op.kind);
    constexpr uint32_t known = HT_OP_SIGMA | HT_OP_AROUND | HT_OP_GRADIENT | HT_OP_NEAREST;
    if (op.wants & ~known || (op.kind == HT_OP_SCALAR && op.wants))
        fail(Exit::plugin, culprit, "its operation '{}' wants what it cannot get ({:#x})", name, op.wants);
}

}  // namespace

Optimizer::Optimizer(std::shared_ptr<PluginLibrary> library) : library_(std::move(library)) {
    const std::string& culprit = library_->culprit();
    if (library_->descriptor().kind != HT_KIND_OPTIMIZER) fail(Exit::plugin, culprit, "is no optimizer");
    table_ = copied(static_cast<const ht_optimizer*>(library_->descriptor().table));
    if (!table_.ops) fail(Exit::plugin, culprit, "its function table has no list of operations");
    if (!table_.mats) fail(Exit::plugin, culprit, "its function table has no mats()");
    if (!table_.minimize) fail(Exit::plugin, culprit, "its function table has no minimize()");
    for (const ht_op* const* op = table_.ops; *op; ++op)
        check_operation(**op, culprit);
}

uint32_t Optimizer::matrices(const OptionValues& options) const {
    return call(library_->culprit(), "mats()", table_.mats, options.abi());
}

void Optimizer::minimize(const ht_problem& problem, const OptionValues& options) const {
    call_checked<os::Patience::any>(library_->culprit(), "minimize()", table_.minimize, &problem,
                                    options.abi());
}

std::vector<const ht_op*> Optimizer::operations() const {
    std::vector<const ht_op*> all;
    for (const ht_op* const* op = table_.ops; *op; ++op)
        all.push_back(*op);
    return all;
}

bool Optimizer::owns(const ht_op* wanted) const {
    for (const ht_op* const* op = table_.ops; *op; ++op)
        if (*op == wanted) return true;
    return false;
}

const void* Optimizer::extension(const char* id) const {
    if (!table_.extension) return nullptr;
    return call(library_->culprit(), "extension()", table_.extension, id);
}

}  // namespace halftone
