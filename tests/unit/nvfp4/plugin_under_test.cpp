#include "tests/unit/nvfp4/plugin_under_test.hpp"

#include <memory>
#include <new>

extern "C" const ht_plugin HALFTONE_ENTRY;

namespace halftone::nvfp4_test {

namespace {

ht_error no_error() {
    ht_error error{};
    error.size = sizeof error;
    return error;
}

void check(ht_status status, const ht_error& error) {
    if (status != HT_OK) throw std::runtime_error(error.text);
}

struct Values {
    ht_value scale{}, pad{};
    const ht_value* at[2] = {&scale, &pad};
    ht_value* writable[2] = {&scale, &pad};
    explicit Values(const Asked& asked = {}) {
        scale = {sizeof(ht_value), HT_CHOICE, asked.search, 0, asked.search ? "mse" : "absmax", nullptr, 0};
        pad = {sizeof(ht_value), HT_BOOL, asked.pad, 0, "", nullptr, 0};
    }
};

void append(void* self, const std::string& key, const std::string& value) {
    auto& text = *static_cast<std::string*>(self);
    text += (text.empty() ? "" : " ") + key + "=" + value;
}

struct FreeAligned {
    void operator()(std::byte* grid) const { operator delete[](grid, std::align_val_t{64}); }
};

std::unique_ptr<std::byte[], FreeAligned> zeroed(uint64_t bytes) {
    auto* const memory = static_cast<std::byte*>(operator new[](bytes, std::align_val_t{64}));
    std::fill_n(memory, bytes, std::byte{0});
    return std::unique_ptr<std::byte[], FreeAligned>(memory);
}

}  // namespace

const ht_format& table() {
    return *static_cast<const ht_format*>(HALFTONE_ENTRY.table);
}

Level::Level(ht_cpu cpu) {
    host_.size = sizeof host_;
    host_.cpu = cpu;
    ht_error error = no_error();
    check(HALFTONE_ENTRY.init(&host_, &error), error);
}

Level::~Level() {
    HALFTONE_ENTRY.deinit();
}

Plan::Plan(uint64_t rows, uint64_t cols, const Asked& asked) : rows_(rows), cols_(cols) {
    ht_source source{};
    source.size = sizeof source;
    source.dtype = asked.dtype;
    source.dialect = asked.dialect;
    source.wants = asked.wants;
    source.rank = 2;
    source.shape[0] = source.rows = rows;
    source.shape[1] = source.cols = cols;
    source.experts = 1;
    const Values values(asked);
    ht_error error = no_error();
    check(table().prepare(&source, values.at, &plan_, &error), error);
}

Plan::~Plan() {
    table().release(plan_);
}

std::string Plan::description() const {
    std::string text;
    ht_json sink{};
    sink.size = sizeof sink;
    sink.self = &text;
    sink.text = [](void* self, const char* key, const char* value) noexcept { append(self, key, value); };
    sink.whole = [](void* self, const char* key, int64_t value) noexcept {
        append(self, key, std::to_string(value));
    };
    sink.boolean = [](void* self, const char* key, int32_t value) noexcept {
        append(self, key, value ? "true" : "false");
    };
    sink.wholes = [](void* self, const char* key, const int64_t* values, uint64_t n) noexcept {
        std::string list;
        for (uint64_t i = 0; i < n; ++i)
            list += (i ? "," : "") + std::to_string(values[i]);
        append(self, key, "[" + list + "]");
    };
    sink.begin = [](void* self, const char* key) noexcept { append(self, key, "{"); };
    sink.end = [](void* self) noexcept { *static_cast<std::string*>(self) += " }"; };
    ht_error error = no_error();
    check(table().describe(plan_, &sink, &error), error);
    return text;
}

Stored Plan::quantize(const Matrix& matrix, const std::vector<float>& column_weight) const {
    const ht_facts& f = facts();
    const ht_region region{0, 0, rows_, cols_};
    const ht_view view{const_cast<float*>(matrix.values.data()), static_cast<int64_t>(cols_), 1};
    const float* const weight = column_weight.empty() ? nullptr : column_weight.data();
    const auto grid = zeroed(f.grid_bytes), partials = zeroed(rows_ * f.partial_bytes);
    ht_error error = no_error();
    table().begin(plan_, grid.get());
    table().fit_pass(plan_, 0, &region, &view, weight, grid.get(), partials.get());
    check(table().fit_fold(plan_, 0, partials.get(), rows_, grid.get(), &error), error);
    table().fit_band(plan_, &region, &view, weight, grid.get());
    Stored stored;
    stored.codes.assign(f.stored[0]->shape[0] * f.stored[0]->shape[1], 0xEE);
    table().encode(plan_, grid.get(), &region, &view, stored.codes.data());
    stored.scales.assign(f.stored[1]->shape[0] * f.stored[1]->shape[1], 0xEE);
    check(table().companion(plan_, grid.get(), 1, stored.scales.data(), &error), error);
    check(table().companion(plan_, grid.get(), 2, reinterpret_cast<uint8_t*>(&stored.tensor_scale), &error),
          error);
    stored.values = read(stored);
    return stored;
}

std::vector<float> Plan::read(const Stored& stored) const {
    const ht_region region{0, 0, rows_, cols_};
    const auto grid = zeroed(facts().grid_bytes);
    const uint8_t* const companions[] = {nullptr, stored.scales.empty() ? nullptr : stored.scales.data(),
                                         reinterpret_cast<const uint8_t*>(&stored.tensor_scale)};
    ht_error error = no_error();
    table().begin(plan_, grid.get());
    check(table().load(plan_, companions, grid.get(), &error), error);
    std::vector<float> values(rows_ * cols_);
    const ht_view view{values.data(), static_cast<int64_t>(cols_), 1};
    table().decode(plan_, grid.get(), &region, stored.codes.data(), &view);
    return values;
}

std::string recognize(const std::vector<ht_tensor>& tensors, const char* marker, ht_source& source) {
    std::vector<const ht_tensor*> at;
    for (const ht_tensor& tensor : tensors)
        at.push_back(&tensor);
    const std::vector<const uint8_t*> bytes(tensors.size());
    const ht_layer layer{
        sizeof(ht_layer), static_cast<uint32_t>(at.size()), "a", at.data(), bytes.data(), marker};
    Values values;
    source = {};
    source.size = sizeof source;
    ht_error error = no_error();
    return table().recognize(&layer, values.writable, &source, &error) == HT_OK ? "" : error.text;
}

}  // namespace halftone::nvfp4_test
