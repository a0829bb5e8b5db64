#pragma once

#include <memory>
#include <string>

#include <halftone/abi.h>

#include "core/checkpoint/checkpoint.hpp"
#include "core/cli/arguments.hpp"
#include "core/cli/command.hpp"
#include "core/run/workers.hpp"

// What commands that work through a checkpoint are told alike.
namespace halftone::cli {

constexpr uint64_t most_threads = 4096;

// --threads and --memory.
void add_worker_arguments(Arguments&);
Workers::Settings workers_from(const Arguments&);  // also where only --threads was declared

// --dtype, the type of plain numbers; BF16 unless told otherwise.
void add_dtype_argument(Arguments&);
ht_dtype dtype_from(const Arguments&);

// Warns of what the checkpoint remarks about itself.
void warn_of_remarks(Context&, const Checkpoint&);
std::shared_ptr<const Checkpoint> open_checkpoint(Context&, const std::string& path);

}  // namespace halftone::cli
