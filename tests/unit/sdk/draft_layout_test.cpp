// The layout of every struct that crosses the boundary, on a 64-bit machine, of the drafts. They may
// still change, but not by accident.
#include <cstddef>
#include <cstdint>
#include <gtest/gtest.h>

#include <halftone/ext/draft/activations.h>
#include <halftone/ext/draft/device.h>
#include <halftone/ext/draft/kernels.h>
#include <halftone/ext/draft/optimizer.h>

namespace {

#define SIZE(type, bytes) static_assert(sizeof(type) == (bytes), "the size of " #type " has changed")
#define AT(type, member, offset) \
    static_assert(offsetof(type, member) == (offset), #type "." #member " has moved")

#if UINTPTR_MAX == 0xffffffffffffffffu

// ext/draft/activations.h
SIZE(ht_activations, 16);
AT(ht_activations, size, 0);
AT(ht_activations, reserved, 4);
AT(ht_activations, round_activations, 8);

// ext/draft/kernels.h
SIZE(ht_kernels, 32);
AT(ht_kernels, size, 0);
AT(ht_kernels, reserved, 4);
AT(ht_kernels, image, 8);
AT(ht_kernels, bytes, 16);
AT(ht_kernels, serves, 24);

SIZE(ht_kernel_args, 144);
AT(ht_kernel_args, size, 0);
AT(ht_kernel_args, pass, 4);
AT(ht_kernel_args, grid, 8);
AT(ht_kernel_args, region, 16);
AT(ht_kernel_args, in, 48);
AT(ht_kernel_args, out, 72);
AT(ht_kernel_args, out_2, 96);
AT(ht_kernel_args, column_weight, 120);
AT(ht_kernel_args, band, 128);
AT(ht_kernel_args, partials, 136);

SIZE(ht_op_args, 480);
AT(ht_op_args, size, 0);
AT(ht_op_args, n_mats, 4);
AT(ht_op_args, n_nums, 8);
AT(ht_op_args, reserved, 12);
AT(ht_op_args, row, 16);
AT(ht_op_args, rows, 24);
AT(ht_op_args, cols, 32);
AT(ht_op_args, mats, 40);
AT(ht_op_args, strides, 104);
AT(ht_op_args, gradient, 168);
AT(ht_op_args, sigma, 176);
AT(ht_op_args, lo, 184);
AT(ht_op_args, hi, 192);
AT(ht_op_args, nearest, 200);
AT(ht_op_args, nums, 208);
AT(ht_op_args, sums, 464);
AT(ht_op_args, seed, 472);

SIZE(ht_widen_args, 40);
AT(ht_widen_args, size, 0);
AT(ht_widen_args, dtype, 4);
AT(ht_widen_args, n, 8);
AT(ht_widen_args, from, 16);
AT(ht_widen_args, to, 24);
AT(ht_widen_args, nonfinite, 32);

SIZE(ht_table_args, 176);
AT(ht_table_args, size, 0);
AT(ht_table_args, scale_kind, 4);
AT(ht_table_args, rows, 8);
AT(ht_table_args, cols, 16);
AT(ht_table_args, scale_rows, 24);
AT(ht_table_args, scale_cols, 32);
AT(ht_table_args, table, 40);
AT(ht_table_args, region, 96);
AT(ht_table_args, in, 128);
AT(ht_table_args, out, 152);

SIZE(ht_error_args, 56);
AT(ht_error_args, size, 0);
AT(ht_error_args, reserved, 4);
AT(ht_error_args, n, 8);
AT(ht_error_args, value, 16);
AT(ht_error_args, weights, 24);
AT(ht_error_args, nearest, 32);
AT(ht_error_args, error, 40);
AT(ht_error_args, partials, 48);

SIZE(ht_fold_args, 40);
AT(ht_fold_args, size, 0);
AT(ht_fold_args, add, 4);
AT(ht_fold_args, n, 8);
AT(ht_fold_args, step, 16);
AT(ht_fold_args, from, 24);
AT(ht_fold_args, to, 32);

SIZE(ht_steps_args, 48);
AT(ht_steps_args, size, 0);
AT(ht_steps_args, reserved, 4);
AT(ht_steps_args, n, 8);
AT(ht_steps_args, nearest, 16);
AT(ht_steps_args, x, 24);
AT(ht_steps_args, sigma, 32);
AT(ht_steps_args, value, 40);

SIZE(ht_judge_args, 136);
AT(ht_judge_args, size, 0);
AT(ht_judge_args, n_terms, 4);
AT(ht_judge_args, cap, 8);
AT(ht_judge_args, weights, 16);
AT(ht_judge_args, scores, 80);
AT(ht_judge_args, nearest, 88);
AT(ht_judge_args, best, 96);
AT(ht_judge_args, kept, 104);
AT(ht_judge_args, improved, 112);
AT(ht_judge_args, generation, 120);
AT(ht_judge_args, best_generation, 128);

SIZE(ht_keep_args, 40);
AT(ht_keep_args, size, 0);
AT(ht_keep_args, reserved, 4);
AT(ht_keep_args, n, 8);
AT(ht_keep_args, flag, 16);
AT(ht_keep_args, from, 24);
AT(ht_keep_args, to, 32);

// ext/draft/optimizer.h
SIZE(ht_tile, 128);
AT(ht_tile, size, 0);
AT(ht_tile, reserved, 4);
AT(ht_tile, row, 8);
AT(ht_tile, col, 16);
AT(ht_tile, rows, 24);
AT(ht_tile, cols, 32);
AT(ht_tile, mats, 40);
AT(ht_tile, strides, 48);
AT(ht_tile, gradient, 56);
AT(ht_tile, sigma, 64);
AT(ht_tile, lo, 72);
AT(ht_tile, hi, 80);
AT(ht_tile, nearest, 88);
AT(ht_tile, grid, 96);
AT(ht_tile, nums, 104);
AT(ht_tile, order, 112);
AT(ht_tile, seed, 120);

SIZE(ht_op, 32);
AT(ht_op, size, 0);
AT(ht_op, kind, 4);
AT(ht_op, wants, 8);
AT(ht_op, reserved, 12);
AT(ht_op, name, 16);
AT(ht_op, cpu, 24);

SIZE(ht_problem, 176);
AT(ht_problem, size, 0);
AT(ht_problem, flags, 4);
AT(ht_problem, self, 8);
AT(ht_problem, rows, 16);
AT(ht_problem, cols, 24);
AT(ht_problem, p_rows, 32);
AT(ht_problem, p_cols, 40);
AT(ht_problem, mat, 48);
AT(ht_problem, num, 56);
AT(ht_problem, gemm, 64);
AT(ht_problem, factor, 72);
AT(ht_problem, copy, 80);
AT(ht_problem, project, 88);
AT(ht_problem, project_stored, 96);
AT(ht_problem, lift_add, 104);
AT(ht_problem, apply, 112);
AT(ht_problem, propose, 120);
AT(ht_problem, refit, 128);
AT(ht_problem, set, 136);
AT(ht_problem, read, 144);
AT(ht_problem, stop, 152);
AT(ht_problem, stop_when, 160);
AT(ht_problem, trace, 168);

SIZE(ht_optimizer, 40);
AT(ht_optimizer, size, 0);
AT(ht_optimizer, reserved, 4);
AT(ht_optimizer, ops, 8);
AT(ht_optimizer, mats, 16);
AT(ht_optimizer, minimize, 24);
AT(ht_optimizer, extension, 32);

// ext/draft/device.h
SIZE(ht_device_info, 32);
AT(ht_device_info, size, 0);
AT(ht_device_info, units, 4);
AT(ht_device_info, name, 8);
AT(ht_device_info, memory_bytes, 16);
AT(ht_device_info, free_bytes, 24);

SIZE(ht_linear_gemm, 104);
AT(ht_linear_gemm, size, 0);
AT(ht_linear_gemm, transpose_a, 4);
AT(ht_linear_gemm, transpose_b, 8);
AT(ht_linear_gemm, precision, 12);
AT(ht_linear_gemm, rows, 16);
AT(ht_linear_gemm, cols, 24);
AT(ht_linear_gemm, inner, 32);
AT(ht_linear_gemm, a, 40);
AT(ht_linear_gemm, b, 48);
AT(ht_linear_gemm, c, 56);
AT(ht_linear_gemm, a_stride, 64);
AT(ht_linear_gemm, b_stride, 72);
AT(ht_linear_gemm, c_stride, 80);
AT(ht_linear_gemm, alpha, 88);
AT(ht_linear_gemm, beta, 96);

SIZE(ht_linear_factor, 48);
AT(ht_linear_factor, size, 0);
AT(ht_linear_factor, what, 4);
AT(ht_linear_factor, rows, 8);
AT(ht_linear_factor, cols, 16);
AT(ht_linear_factor, a, 24);
AT(ht_linear_factor, out, 32);
AT(ht_linear_factor, status, 40);

SIZE(ht_linear_svd, 80);
AT(ht_linear_svd, size, 0);
AT(ht_linear_svd, rank, 4);
AT(ht_linear_svd, extra, 8);
AT(ht_linear_svd, rounds, 12);
AT(ht_linear_svd, rows, 16);
AT(ht_linear_svd, cols, 24);
AT(ht_linear_svd, a, 32);
AT(ht_linear_svd, left, 40);
AT(ht_linear_svd, values, 48);
AT(ht_linear_svd, right, 56);
AT(ht_linear_svd, status, 64);
AT(ht_linear_svd, seed, 72);

SIZE(ht_device, 120);
AT(ht_device, size, 0);
AT(ht_device, reserved, 4);
AT(ht_device, list, 8);
AT(ht_device, open, 16);
AT(ht_device, close, 24);
AT(ht_device, buffer, 32);
AT(ht_device, drop, 40);
AT(ht_device, stream, 48);
AT(ht_device, end, 56);
AT(ht_device, copy, 64);
AT(ht_device, fill, 72);
AT(ht_device, load, 80);
AT(ht_device, launch, 88);
AT(ht_device, linear, 96);
AT(ht_device, wait, 104);
AT(ht_device, extension, 112);

#endif

// The asserts above are the test; this keeps it visible in reports.
TEST(Layout, OfDraftStructsIsAsWrittenDown) {
    SUCCEED();
}

}  // namespace
