#include "core/cli/checkpoint_arguments.hpp"

namespace halftone::cli {

void add_worker_arguments(Arguments& arguments) {
    arguments.option("threads", "N", "threads to use; default: one a processor")
        .option("memory", "SIZE", "memory for weights under way, like 256MiB");
}

Workers::Settings workers_from(const Arguments& arguments) {
    Workers::Settings settings;
    settings.threads = static_cast<unsigned>(arguments.number("threads", 1, most_threads).value_or(0));
    settings.memory = arguments.bytes("memory").value_or(0);
    return settings;
}

void add_dtype_argument(Arguments& arguments) {
    arguments.option("dtype", "TYPE", "bf16, f16 or f32 (default bf16)");
}

ht_dtype dtype_from(const Arguments& arguments) {
    const std::string chosen = arguments.choice("dtype", {"bf16", "f16", "f32"}, "bf16");
    return chosen == "bf16" ? HT_DTYPE_BF16 : chosen == "f16" ? HT_DTYPE_F16 : HT_DTYPE_F32;
}

void warn_of_remarks(Context& context, const Checkpoint& checkpoint) {
    for (const std::string& remark : checkpoint.remarks())
        context.log.warning(remark);
}

std::shared_ptr<const Checkpoint> open_checkpoint(Context& context, const std::string& path) {
    auto checkpoint = std::make_shared<const Checkpoint>(Checkpoint::open(path));
    warn_of_remarks(context, *checkpoint);
    return checkpoint;
}

}  // namespace halftone::cli
