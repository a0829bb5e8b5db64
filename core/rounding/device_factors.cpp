#include "core/rounding/device_factors.hpp"

#include <utility>

#include "core/linalg/svd.hpp"
#include "core/rounding/operation.hpp"

namespace halftone {
namespace {

int32_t read_status(DeviceWork& work, const DeviceBuffer& status) {
    int32_t value = 0;
    work.stream.copy(&value, status.data(), sizeof value);
    work.stream.wait();
    return value;
}

bool device_factors(DeviceWork& work, int32_t what, const DeviceMatrix& from, const DeviceMatrix& to) {
    const DeviceBuffer status(work.device, sizeof(int32_t));
    try {
        work.stream.factor(
            {sizeof(ht_linear_factor), what, from.rows, from.cols, from.at(), to.at(), status.as<int32_t>()});
    } catch (const DeviceFailure& failure) {
        if (failure.kind() != DeviceFailure::Kind::refused) throw;
        return false;
    }
    return read_status(work, status) == 0;
}

}  // namespace

void factor_on_device(DeviceWork& work, int32_t what, const DeviceMatrix& from, const DeviceMatrix& to) {
    if (device_factors(work, what, from, to)) return;
    // The CPU has them all, and says what is wrong with a matrix.
    const Matrix host = from.download(work.stream);
    Matrix result(to.rows, to.cols);
    factor_matrix(what, host, result);
    to.upload(work.stream, result.data());
    work.stream.wait();
}

ObjectiveFactors::ObjectiveFactors(DeviceWork& work, const Matrix& weights, const DeviceMatrix& there,
                                   uint64_t seed)
    : work_(work), weights_(weights), there_(there), seed_(seed) {}

std::shared_ptr<const DeviceFactors> ObjectiveFactors::of(const Objective& objective) {
    auto& known = known_[objective.name];
    if (known) return known;
    auto made = std::make_shared<DeviceFactors>();
    if (objective.singular_directions > 0) {
        find_directions(objective.singular_directions, *made);
    } else if (objective.factors) {
        upload(objective.factors->left, made->left);
        upload(objective.factors->right, made->right);
        made->orthonormal = objective.factors->orthonormal;
    }
    work_.stream.wait();
    return known = std::move(made);
}

void ObjectiveFactors::upload(const Matrix& from, DeviceMatrix& to) {
    if (from.empty()) return;
    to = DeviceMatrix(work_.device, from.rows(), from.cols());
    to.upload(work_.stream, from.data());
}

void ObjectiveFactors::find_directions(uint64_t rank, DeviceFactors& to) {
    to.left = DeviceMatrix(work_.device, rank, there_.rows);
    to.right = DeviceMatrix(work_.device, there_.cols, rank);
    to.orthonormal = true;
    const DeviceBuffer status(work_.device, sizeof(int32_t));
    work_.stream.svd({sizeof(ht_linear_svd), static_cast<uint32_t>(rank), svd_extra_directions,
                      svd_power_iterations, there_.rows, there_.cols, there_.at(), to.left.at(), nullptr,
                      to.right.at(), status.as<int32_t>(), seed_});
    if (read_status(work_, status) == 0) return;
    const TruncatedSvd svd = truncated_svd(weights_, rank, seed_);
    upload(svd.left, to.left);
    upload(svd.right, to.right);
    work_.stream.wait();
}

}  // namespace halftone
