// Products of rows and weights, compiled once per instruction set as part of frame_step_kernels.hpp.
#pragma once
#include "frame_step.hpp"
#include "lanes.hpp"

namespace langpose {
namespace {

constexpr int kPanel = 2 * kLanes;

// Rows of a product that share the loads of its weights, and panels that one pass over them computes.
template <int Rows, int Panels>
constexpr bool fits() {
  constexpr int sums = 2 * Rows * Panels, weights = 2 * Panels + 1, rows = Rows + 1;
  return sums + (weights < rows ? weights : rows) <= kRegisters;
}

constexpr int most_rows() {
  int rows = 1;
  while (2 * (rows + 1) + 3 <= kRegisters) ++rows;
  return rows;
}
constexpr int kMostRows = most_rows();

// out[row][...] = bias + weights x[row], for Panels panels from `weights` on.
template <int Rows, int Panels, typename Weight>
void multiply(const float* x, int64_t x_stride, const Weight* weights, int64_t panel_stride,
              const float* bias, int inputs, float* out, int64_t out_stride) {
  constexpr int kVectors = 2 * Panels;
  Vec sums[Rows][kVectors];
#pragma GCC unroll 16
  for (int row = 0; row < Rows; ++row) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sums[row][v] = load(bias + v * kLanes);
  }
  // The smaller of the two stays in registers, and the other passes through one.
  for (int k = 0; k < inputs; ++k) {
    if constexpr (kVectors <= Rows) {
      Vec weight[kVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        weight[v] = load(weights + (v / 2) * panel_stride + k * kPanel + v % 2 * kLanes);
      }
#pragma GCC unroll 16
      for (int row = 0; row < Rows; ++row) {
        const Vec number = all(x[row * x_stride + k]);
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) sums[row][v] = fma(weight[v], number, sums[row][v]);
      }
    } else {
      Vec number[Rows];
#pragma GCC unroll 16
      for (int row = 0; row < Rows; ++row) number[row] = all(x[row * x_stride + k]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        const Vec weight = load(weights + (v / 2) * panel_stride + k * kPanel + v % 2 * kLanes);
#pragma GCC unroll 16
        for (int row = 0; row < Rows; ++row) sums[row][v] = fma(weight, number[row], sums[row][v]);
      }
    }
  }
#pragma GCC unroll 16
  for (int row = 0; row < Rows; ++row) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) store(out + row * out_stride + v * kLanes, sums[row][v]);
  }
}

template <typename Weight>
using Multiply = void (*)(const float*, int64_t, const Weight*, int64_t, const float*, int, float*,
                          int64_t);

template <int Rows, int Panels, typename Weight>
constexpr Multiply<Weight> multiply_or_null() {
  if constexpr (fits<Rows, Panels>()) {
    return multiply<Rows, Panels, Weight>;
  } else {
    return nullptr;
  }
}

// multiply<rows, 1 << group> at [rows - 1][group].
template <typename Weight>
struct Table {
  Multiply<Weight> at[kMostRows][3];

  template <int Rows>
  constexpr void fill() {
    at[Rows - 1][0] = multiply_or_null<Rows, 1, Weight>();
    at[Rows - 1][1] = multiply_or_null<Rows, 2, Weight>();
    at[Rows - 1][2] = multiply_or_null<Rows, 4, Weight>();
    if constexpr (Rows > 1) fill<Rows - 1>();
  }
  constexpr Table() : at() { fill<kMostRows>(); }
};

template <typename Weight>
constexpr Table<Weight> kTable;

// Rows of one matrix in memory.
struct Matrix {
  float* data;
  int64_t stride;

  float* row(int index) const { return data + index * stride; }
};

template <typename Weight>
void product_of(const Linear& linear, const Matrix& x, int rows, const Matrix& out) {
  const auto* weights = static_cast<const Weight*>(linear.panels);
  const int64_t panel_stride = static_cast<int64_t>(linear.inputs) * kPanel;
  const int panels = (linear.outputs + kPanel - 1) / kPanel;
  const int tiles = (rows + kMostRows - 1) / kMostRows;
  const int most = (rows + tiles - 1) / tiles;  // tiles of equal size, the last ones one row less
  const int larger = rows - (most - 1) * tiles;
  for (int panel = 0; panel < panels;) {
    int group = 2;
    while (group > 0 && (panel + (1 << group) > panels || !kTable<Weight>.at[most - 1][group])) --group;
    int row = 0;
    for (int tile = 0; tile < tiles; ++tile) {
      const int here = tile < larger ? most : most - 1;
      kTable<Weight>.at[here - 1][group](x.row(row), x.stride, weights + panel * panel_stride,
                                         panel_stride, linear.bias + panel * kPanel, linear.inputs,
                                         out.row(row) + panel * kPanel, out.stride);
      row += here;
    }
    panel += 1 << group;
  }
}

// out = linear(x); writes whole panels, so that a row of `out` must have room for them.
void product(const Linear& linear, const Matrix& x, int rows, const Matrix& out) {
  if constexpr (kReadsHalf) {
    if (linear.half) return product_of<uint16_t>(linear, x, rows, out);
  }
  product_of<float>(linear, x, rows, out);
}

}  // namespace
}  // namespace langpose
