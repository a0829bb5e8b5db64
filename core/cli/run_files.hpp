#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/checkpoint/writer.hpp"
#include "core/cli/command.hpp"
#include "core/plan/plan.hpp"
#include "core/report/run_report.hpp"

// The files that commands write: outputs, and what goes beside them.
namespace halftone::cli {

// Exit::usage if the run may not write what the pipeline names: a pipeline may be a stranger's, so that
// reports and traces that it names stay in the output's folder and below, and the output is called
// *.safetensors. Nothing that the run reads is written to, whoever names it; other files only if they are
// reports and traces of earlier runs, or with --force. To be called before the run: afterwards it would be
// late to find out.
void check_written_files(const Plan&);

// Starts the output. Tells of files that killed runs left behind.
std::unique_ptr<Output> start_output(Context&, const Plan&);
void make_trace_folder(const Plan&);

// Once the output is complete. An error says so, and keeps its class: Exit::space for a full disk.
void write_report(const Plan&, const RunFigures&);
void remove_earlier_traces(const Plan&);  // that the run did not write again

// The files that the run writes, and its folder of traces. The last are without the traces' own names.
std::vector<std::filesystem::path> written_files(const Plan&);
void add_written_files(Json&, const Plan&);                     // as "writes"
std::string written_lines(const Plan&, std::string_view verb);  // "wrote PATH", a line each

}  // namespace halftone::cli
