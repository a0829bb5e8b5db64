// The layout of every struct that crosses the boundary, on a 64-bit machine, as it was when it was published.
// A line here never changes for a stable header: structs grow at their end, by new lines.
#include <cstddef>
#include <cstdint>
#include <gtest/gtest.h>

#include <halftone/abi.h>
#include <halftone/format.h>
#include <halftone/json.h>
#include <halftone/matrix.h>
#include <halftone/model.h>
#include <halftone/plugin.h>
#include <halftone/services.h>
#include <halftone/value.h>

namespace {

#define SIZE(type, bytes) static_assert(sizeof(type) == (bytes), "the size of " #type " has changed")
#define AT(type, member, offset) \
    static_assert(offsetof(type, member) == (offset), #type "." #member " has moved")

#if UINTPTR_MAX == 0xffffffffffffffffu

// abi.h
SIZE(ht_error, 508);
AT(ht_error, size, 0);
AT(ht_error, code, 4);
AT(ht_error, text, 8);

// value.h
SIZE(ht_option, 56);
AT(ht_option, size, 0);
AT(ht_option, type, 4);
AT(ht_option, name, 8);
AT(ht_option, fallback, 16);
AT(ht_option, help, 24);
AT(ht_option, least, 32);
AT(ht_option, most, 40);
AT(ht_option, choices, 48);

SIZE(ht_value, 48);
AT(ht_value, size, 0);
AT(ht_value, type, 4);
AT(ht_value, whole, 8);
AT(ht_value, real, 16);
AT(ht_value, text, 24);
AT(ht_value, items, 32);
AT(ht_value, n_items, 40);

// matrix.h
SIZE(ht_region, 32);
AT(ht_region, row, 0);
AT(ht_region, col, 8);
AT(ht_region, rows, 16);
AT(ht_region, cols, 24);

SIZE(ht_view, 24);
AT(ht_view, at, 0);
AT(ht_view, row_stride, 8);
AT(ht_view, col_stride, 16);

SIZE(ht_tensor, 88);
AT(ht_tensor, size, 0);
AT(ht_tensor, dtype, 4);
AT(ht_tensor, name, 8);
AT(ht_tensor, shape, 16);
AT(ht_tensor, rank, 80);
AT(ht_tensor, reserved, 84);

// services.h
SIZE(ht_host, 88);
AT(ht_host, size, 0);
AT(ht_host, abi_minor, 4);
AT(ht_host, self, 8);
AT(ht_host, cpu, 16);
AT(ht_host, reserved, 20);
AT(ht_host, log, 24);
AT(ht_host, cancelled, 32);
AT(ht_host, clock, 40);
AT(ht_host, allocate, 48);
AT(ht_host, release, 56);
AT(ht_host, random, 64);
AT(ht_host, extension, 72);
AT(ht_host, broke, 80);

// json.h
SIZE(ht_json, 80);
AT(ht_json, size, 0);
AT(ht_json, reserved, 4);
AT(ht_json, self, 8);
AT(ht_json, text, 16);
AT(ht_json, whole, 24);
AT(ht_json, real, 32);
AT(ht_json, boolean, 40);
AT(ht_json, wholes, 48);
AT(ht_json, reals, 56);
AT(ht_json, begin, 64);
AT(ht_json, end, 72);

// plugin.h
SIZE(ht_plugin, 88);
AT(ht_plugin, size, 0);
AT(ht_plugin, kind, 4);
AT(ht_plugin, host_minor, 8);
AT(ht_plugin, reserved, 12);
AT(ht_plugin, id, 16);
AT(ht_plugin, version, 24);
AT(ht_plugin, summary, 32);
AT(ht_plugin, license, 40);
AT(ht_plugin, options, 48);
AT(ht_plugin, n_options, 56);
AT(ht_plugin, table, 64);
AT(ht_plugin, init, 72);
AT(ht_plugin, deinit, 80);

// format.h
SIZE(ht_source, 112);
AT(ht_source, size, 0);
AT(ht_source, dtype, 4);
AT(ht_source, dialect, 8);
AT(ht_source, wants, 12);
AT(ht_source, shape, 16);
AT(ht_source, rank, 80);
AT(ht_source, reserved, 84);
AT(ht_source, experts, 88);
AT(ht_source, rows, 96);
AT(ht_source, cols, 104);

SIZE(ht_stored, 96);
AT(ht_stored, size, 0);
AT(ht_stored, role, 4);
AT(ht_stored, scope, 8);
AT(ht_stored, dtype, 12);
AT(ht_stored, shape, 16);
AT(ht_stored, rank, 80);
AT(ht_stored, reserved, 84);
AT(ht_stored, name, 88);

SIZE(ht_facts, 112);
AT(ht_facts, size, 0);
AT(ht_facts, flags, 4);
AT(ht_facts, passes, 8);
AT(ht_facts, input_scale, 12);
AT(ht_facts, scale_kind, 16);
AT(ht_facts, activation_max, 20);
AT(ht_facts, scale_rows, 24);
AT(ht_facts, scale_cols, 32);
AT(ht_facts, granule_rows, 40);
AT(ht_facts, granule_bytes, 48);
AT(ht_facts, grid_bytes, 56);
AT(ht_facts, partial_bytes, 64);
AT(ht_facts, stored, 72);
AT(ht_facts, n_stored, 80);
AT(ht_facts, remark, 88);
AT(ht_facts, piece_cols, 96);
AT(ht_facts, piece_bytes, 104);

SIZE(ht_table, 56);
AT(ht_table, size, 0);
AT(ht_table, levels, 4);
AT(ht_table, tables, 8);
AT(ht_table, divide, 12);
AT(ht_table, level, 16);
AT(ht_table, upper, 24);
AT(ht_table, pre, 32);
AT(ht_table, post, 40);
AT(ht_table, table_of, 48);

SIZE(ht_layer, 40);
AT(ht_layer, size, 0);
AT(ht_layer, n_tensors, 4);
AT(ht_layer, name, 8);
AT(ht_layer, tensors, 16);
AT(ht_layer, bytes, 24);
AT(ht_layer, marker, 32);

SIZE(ht_label, 56);
AT(ht_label, size, 0);
AT(ht_label, reserved, 4);
AT(ht_label, label, 8);
AT(ht_label, options, 16);
AT(ht_label, loaders, 24);
AT(ht_label, activations, 32);
AT(ht_label, hardware, 40);
AT(ht_label, remark, 48);

SIZE(ht_format, 184);
AT(ht_format, size, 0);
AT(ht_format, reserved, 4);
AT(ht_format, prepare, 8);
AT(ht_format, release, 16);
AT(ht_format, facts, 24);
AT(ht_format, describe, 32);
AT(ht_format, recognize, 40);
AT(ht_format, begin, 48);
AT(ht_format, rotate, 56);
AT(ht_format, fit_pass, 64);
AT(ht_format, fit_fold, 72);
AT(ht_format, fit_band, 80);
AT(ht_format, fit_seal, 88);
AT(ht_format, load, 96);
AT(ht_format, encode, 104);
AT(ht_format, decode, 112);
AT(ht_format, companion, 120);
AT(ht_format, snap, 128);
AT(ht_format, sigma, 136);
AT(ht_format, around, 144);
AT(ht_format, table, 152);
AT(ht_format, extension, 160);
AT(ht_format, labels, 168);
AT(ht_format, n_labels, 176);

// model.h
SIZE(ht_header, 48);
AT(ht_header, size, 0);
AT(ht_header, reserved, 4);
AT(ht_header, self, 8);
AT(ht_header, count, 16);
AT(ht_header, at, 24);
AT(ht_header, find, 32);
AT(ht_header, metadata, 40);

SIZE(ht_verdict, 216);
AT(ht_verdict, size, 0);
AT(ht_verdict, action, 4);
AT(ht_verdict, flags, 8);
AT(ht_verdict, reserved, 12);
AT(ht_verdict, reason, 16);

SIZE(ht_score, 208);
AT(ht_score, size, 0);
AT(ht_score, points, 4);
AT(ht_score, evidence, 8);

SIZE(ht_model, 32);
AT(ht_model, size, 0);
AT(ht_model, reserved, 4);
AT(ht_model, score, 8);
AT(ht_model, decide, 16);
AT(ht_model, extension, 24);

#endif

// The asserts above are the test; this keeps it visible in reports.
TEST(Layout, OfStableStructsIsAsPublished) {
    SUCCEED();
}

}  // namespace
