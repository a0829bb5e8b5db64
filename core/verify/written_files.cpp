#include "core/verify/written_files.hpp"

#include <algorithm>

namespace halftone {
namespace {

// What lies at a place of the output: a tensor, a header, the index.
std::string place(const Plan& plan, const Output& output, size_t file, uint64_t offset) {
    if (file < plan.files.size())
        for (const OutputTensor& tensor : plan.files[file].tensors)
            if (offset >= tensor.offset && offset - tensor.offset < tensor.bytes) return tensor.name;
    return os::utf8(output.paths().at(file).filename());
}

}  // namespace

uint64_t bytes_to_reread(const Output& output) {
    uint64_t bytes = 0;
    for (const WrittenPieces::Piece& piece : output.pieces())
        bytes += piece.bytes;
    return bytes;
}

void check_written(const Plan& plan, const Output& output, Workers& workers, Progress& progress,
                   Findings& findings) {
    std::vector<os::File> files;
    for (const std::filesystem::path& path : output.temporaries())
        files.push_back(os::File::open_to_read(path));
    const std::vector<WrittenPieces::Piece> pieces = output.pieces();
    std::vector<uint64_t> ends(files.size());
    for (const WrittenPieces::Piece& piece : pieces) {
        if (piece.offset > ends[piece.file])
            findings.add(place(plan, output, piece.file, ends[piece.file]), "{} bytes were never written",
                         piece.offset - ends[piece.file]);
        if (piece.offset < ends[piece.file])
            findings.add(place(plan, output, piece.file, piece.offset), "was written to twice");
        ends[piece.file] = std::max(ends[piece.file], piece.offset + piece.bytes);
    }
    for (size_t i = 0; i < files.size(); ++i)
        if (ends[i] != files[i].size())
            findings.add(place(plan, output, i, ends[i]), "{} bytes were written of a file that has {}",
                         ends[i], files[i].size());

    const auto largest = std::ranges::max_element(pieces, {}, &WrittenPieces::Piece::bytes);
    const JobMemory memory{0, largest == pieces.end() ? 0 : largest->bytes};
    workers.each_job(
        1, [&](uint64_t) { return memory; },
        [&](uint64_t, Workers::Share& share) {
            workers.each_band(share, pieces.size(), [&](uint64_t i, Scratch& scratch) {
                const WrittenPieces::Piece& piece = pieces[i];
                const auto bytes = Scratch::sized(scratch.source, piece.bytes);
                files[piece.file].read(piece.offset, bytes);
                if (fingerprint(bytes) != piece.fingerprint)
                    findings.add(place(plan, output, piece.file, piece.offset),
                                 "the file does not hold what was written to it");
                progress.work_done += piece.bytes;
            });
        });
}

}  // namespace halftone
