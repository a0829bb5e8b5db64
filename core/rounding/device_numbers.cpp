#include "core/rounding/device_numbers.hpp"

#include <algorithm>
#include <utility>

namespace halftone {
namespace {

constexpr uint64_t most_blocks = 1024;  // of a sum; the same on every device, so that bits depend on n alone

}  // namespace

Matrix DeviceMatrix::download(DeviceStream& stream) const {
    Matrix host(rows, cols);
    stream.copy(host.data(), at(), bytes());
    stream.wait();
    return host;
}

DeviceNumbers::DeviceNumbers(std::shared_ptr<Device> device) : device_(std::move(device)) {}

double* DeviceNumbers::add(DeviceStream& stream, double initial) {
    if (used_ == per_block) {
        blocks_.emplace_back(device_, per_block * sizeof(double));
        used_ = 0;
    }
    double* const at = blocks_.back().as<double>() + used_++;
    set(stream, at, initial);
    return at;
}

void DeviceNumbers::set(DeviceStream& stream, double* at, double value) {
    stream.copy(at, &values_.emplace_back(value), sizeof value);
}

double DeviceNumbers::read(DeviceStream& stream, const double* from) const {
    double number = 0;
    stream.copy(&number, from, sizeof number);
    stream.wait();
    return number;
}

SquaredSums::SquaredSums(std::shared_ptr<Device> device)
    : device_(std::move(device)), partials_(device_, 2 * most_blocks * sizeof(double)) {}

void SquaredSums::run(DeviceStream& stream, const Of& of, bool add, double* squares, double* different) {
    const uint64_t blocks = std::clamp<uint64_t>(of.n / (8 * HT_KERNEL_THREADS), 1, most_blocks);
    auto* const partials = partials_.as<double>();
    ht_error_args args{};
    args.size = sizeof args;
    args.n = of.n;
    args.value = of.value;
    args.weights = of.weights;
    args.nearest = different ? of.nearest : nullptr;
    args.error = of.error;
    args.partials = partials;
    stream.launch(device_->common(), "error", blocks, args);
    ht_fold_args fold{sizeof(ht_fold_args), add, blocks, 1, partials, squares};
    stream.launch(device_->common(), "fold", 1, fold);
    if (!different || !of.nearest) return;
    fold.from = partials + blocks;
    fold.to = different;
    stream.launch(device_->common(), "fold", 1, fold);
}

DeviceWork::DeviceWork(std::shared_ptr<Device> on)
    : device(std::move(on)),
      stream(device),
      numbers(device),
      sums(device),
      one(numbers.add(stream, 1)),
      zero(numbers.add(stream, 0)),
      ignored(numbers.add(stream, 0)) {}

}  // namespace halftone
