#include "tests/unit/fp8/plugin_under_test.hpp"

#include <cstring>
#include <new>
#include <sstream>
#include <stdexcept>
#include <utility>

extern "C" const ht_plugin HALFTONE_ENTRY;

namespace halftone::fp8_test {

namespace {

ht_error no_error() {
    ht_error error{};
    error.size = sizeof error;
    return error;
}

void check(ht_status status, const ht_error& error) {
    if (status != HT_OK) throw std::runtime_error(error.text);
}

void append(void* self, const std::string& key, const std::string& value) {
    auto& text = *static_cast<std::string*>(self);
    text += (text.empty() ? "" : " ") + key + "=" + value;
}

// First row and number of rows of each band.
std::vector<std::pair<uint64_t, uint64_t>> cut(uint64_t rows, std::vector<uint64_t> starts) {
    starts.insert(starts.begin(), 0);
    starts.push_back(rows);
    std::vector<std::pair<uint64_t, uint64_t>> bands;
    for (size_t i = 0; i + 1 < starts.size(); ++i)
        bands.emplace_back(starts[i], starts[i + 1] - starts[i]);
    return bands;
}

}  // namespace

const ht_plugin& descriptor() {
    return HALFTONE_ENTRY;
}

const ht_format& table() {
    return *static_cast<const ht_format*>(descriptor().table);
}

Level::Level(ht_cpu cpu) {
    host_.size = sizeof host_;
    host_.cpu = cpu;
    ht_error error = no_error();
    check(descriptor().init(&host_, &error), error);
}

Level::~Level() {
    descriptor().deinit();
}

Values::Values(const std::string& element, const std::string& scale_per) {
    for (uint64_t i = 0; i < descriptor().n_options; ++i) {
        const ht_option& option = *descriptor().options[i];
        const std::string name = option.name;
        const std::string wanted = name == "element"     ? element
                                   : name == "scale_per" ? scale_per
                                                         : option.fallback;
        ht_value value{};
        value.size = sizeof value;
        value.type = option.type;
        while (option.choices[value.whole] && wanted != option.choices[value.whole])
            ++value.whole;
        value.text = option.choices[value.whole];
        if (!value.text) throw std::logic_error("no such choice: " + wanted);
        values_.push_back(value);
    }
    for (ht_value& value : values_) {
        at_.push_back(&value);
        const_at_.push_back(&value);
    }
}

std::string Values::choice(const std::string& name) const {
    for (uint64_t i = 0; i < descriptor().n_options; ++i)
        if (name == descriptor().options[i]->name) return values_[i].text;
    throw std::logic_error("no such option: " + name);
}

ht_source source_of(uint64_t rows, uint64_t cols, ht_dialect dialect, uint32_t wants) {
    ht_source source{};
    source.size = sizeof source;
    source.dtype = HT_DTYPE_BF16;
    source.dialect = dialect;
    source.wants = wants;
    source.rank = 2;
    source.shape[0] = source.rows = rows;
    source.shape[1] = source.cols = cols;
    source.experts = 1;
    return source;
}

Plan::Plan(const ht_source& source, const Values& values) : source_(source) {
    ht_error error = no_error();
    check(table().prepare(&source_, values.abi(), &plan_, &error), error);
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
    sink.boolean = [](void* self, const char* key, int32_t value) noexcept {
        append(self, key, value ? "true" : "false");
    };
    ht_error error = no_error();
    check(table().describe(plan_, &sink, &error), error);
    return text;
}

Grid Plan::make_grid() const {
    constexpr std::align_val_t alignment{64};
    const uint64_t size = facts().grid_bytes;
    auto* const memory = static_cast<std::byte*>(::operator new(size, alignment));
    std::memset(memory, 0, size);
    Grid grid(memory, [](std::byte* bytes) { ::operator delete (bytes, std::align_val_t{64}); });
    table().begin(plan_, grid.get());
    return grid;
}

Grid Plan::fit(const Matrix& matrix, const std::vector<uint64_t>& starts) const {
    Grid grid = make_grid();
    ht_error error = no_error();
    for (uint32_t pass = 0; pass < facts().passes; ++pass) {
        const uint64_t granules = (matrix.rows + facts().granule_rows - 1) / facts().granule_rows;
        std::vector<uint64_t> partials(granules * facts().partial_bytes / 8 + 1);  // zeroed and aligned
        auto* const slots = reinterpret_cast<std::byte*>(partials.data());
        for (const auto& [row, rows] : cut(matrix.rows, starts)) {
            const ht_region region{row, 0, rows, matrix.cols};
            const ht_view view = view_of(matrix, row);
            std::byte* const slot = slots + row / facts().granule_rows * facts().partial_bytes;
            table().fit_pass(plan_, pass, &region, &view, nullptr, grid.get(), slot);
        }
        check(table().fit_fold(plan_, pass, slots, granules, grid.get(), &error), error);
    }
    for (const auto& [row, rows] : cut(matrix.rows, starts)) {
        const ht_region region{row, 0, rows, matrix.cols};
        const ht_view view = view_of(matrix, row);
        table().fit_band(plan_, &region, &view, nullptr, grid.get());
    }
    check(table().fit_seal(plan_, grid.get(), &error), error);
    return grid;
}

Grid Plan::load(const std::vector<float>& scales) const {
    Grid grid = make_grid();
    std::vector<const uint8_t*> companions(facts().n_stored);
    for (uint64_t i = 0; i < facts().n_stored; ++i)
        if (facts().stored[i]->role == HT_ROLE_SCALE && !scales.empty())
            companions[i] = reinterpret_cast<const uint8_t*>(scales.data());
    ht_error error = no_error();
    check(table().load(plan_, companions.data(), grid.get(), &error), error);
    return grid;
}

std::vector<uint8_t> Plan::encode(const Grid& grid, const Matrix& matrix,
                                  const std::vector<uint64_t>& starts) const {
    std::vector<uint8_t> codes(matrix.rows * matrix.cols, 0xAA);
    for (const auto& [row, rows] : cut(matrix.rows, starts)) {
        const ht_region region{row, 0, rows, matrix.cols};
        const ht_view view = view_of(matrix, row);
        table().encode(plan_, grid.get(), &region, &view, codes.data() + row * matrix.cols);
    }
    return codes;
}

Matrix Plan::like() const {
    return {source_.rows, source_.cols, std::vector<float>(source_.rows * source_.cols, 12345.0f)};
}

Matrix Plan::decode(const Grid& grid, const std::vector<uint8_t>& codes) const {
    Matrix out = like();
    const ht_region region = whole(out);
    const ht_view view = view_of(out);
    table().decode(plan_, grid.get(), &region, codes.data(), &view);
    return out;
}

Matrix Plan::snap(const Grid& grid, const Matrix& in) const {
    Matrix out = like();
    const ht_region region = whole(out);
    const ht_view from = view_of(in), to = view_of(out);
    table().snap(plan_, grid.get(), &region, &from, &to);
    return out;
}

std::vector<float> Plan::scales(const Grid& grid) const {
    for (uint32_t i = 0; i < facts().n_stored; ++i) {
        const ht_stored& stored = *facts().stored[i];
        if (stored.role != HT_ROLE_SCALE) continue;
        std::vector<float> scales(stored.rank == 0 ? 1 : stored.shape[0]);
        ht_error error = no_error();
        check(table().companion(plan_, grid.get(), i, reinterpret_cast<uint8_t*>(scales.data()), &error),
              error);
        return scales;
    }
    throw std::logic_error("no scale is stored");
}

Stored quantize(const Matrix& matrix, const std::string& element, const std::string& scale_per, ht_cpu cpu) {
    const Level level(cpu);
    const Plan plan(source_of(matrix.rows, matrix.cols), Values(element, scale_per));
    const Grid grid = plan.fit(matrix);
    return {plan.encode(grid, matrix), plan.scales(grid)};
}

ht_region whole(const Matrix& matrix) {
    return {0, 0, matrix.rows, matrix.cols};
}

// The contract has one type of view for what is read and what is written.
ht_view view_of(const Matrix& matrix, uint64_t row) {
    return {const_cast<float*>(matrix.values.data()) + row * matrix.cols, static_cast<int64_t>(matrix.cols),
            1};
}

std::vector<uint32_t> bits(const std::vector<float>& values) {
    std::vector<uint32_t> result(values.size());
    std::memcpy(result.data(), values.data(), values.size() * sizeof(float));
    return result;
}

}  // namespace halftone::fp8_test
