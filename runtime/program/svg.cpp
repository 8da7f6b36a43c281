// program_svg() of print.h. Steps stand below one another; what a step reads from outside (weights, inputs) comes from
// the left, what flows between neighbours goes straight down, and what flows further goes round on the right.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "runtime/program/print.h"

namespace bittern::runtime {
namespace {

constexpr int kBoxLeft = 430, kBoxWidth = 250, kBoxHeight = 40, kGap = 34, kLane = 16, kFoldGap = 30, kTitle = 34;
constexpr int kBoxRight = kBoxLeft + kBoxWidth, kMiddle = kBoxLeft + kBoxWidth / 2, kWidth = 1080;

constexpr const char *kHead =
    R"(<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#456"/></marker></defs>
<style>text{font-family:sans-serif;font-size:12px;fill:#123}.s{font-size:10px;fill:#456;paint-order:stroke;stroke:white;stroke-width:3px}.t{font-size:14px;font-weight:bold}.p{fill:none;stroke:#456;stroke-width:1.3;marker-end:url(#tip)}</style>
<rect width="100%" height="100%" fill="white"/>
)";

// Colours by what a step does.
const char *colour(const Step &step) {
  if (is_host_step(step.id)) return "#eeeeee";
  switch (step.role) {
    case Role::W2A8:
    case Role::W2A8Group:
      return "#ffe2b8";
    case Role::HeadBf16:
    case Role::HeadF32:
    case Role::HeadInt8:
      return "#ffd0c8";
    case Role::Attention:
    case Role::AttentionF16:
    case Role::AttentionWindow:
    case Role::AttentionWindowF16:
      return "#cfe8cf";
    default:
      return "#d8e6f5";
  }
}

std::string escaped(const std::string &text) {
  std::string out;
  for (const char c : text) out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  return out;
}

// Something that flows from one place (a step, or the fold's entry) to a later step of the same fold.
struct Edge {
  int from, to;  // rows; -1: the entry
  std::string label;
  int lane = 0;     // 0: straight down
  int landing = 0;  // among the edges that reach the same row from the right
};

class Picture {
 public:
  explicit Picture(const Program &program) : program_(program) {}

  std::string draw() {
    const ModelConfig &c = program_.config;
    text(30, 30,
         fmt::format("{}: {} layers, hidden {}, FFN {}, {} heads of {}, vocabulary {}", c.architecture, c.layers,
                     c.hidden, c.ffn, c.heads, c.head_dim, c.vocab),
         "t");
    text(30, 50, "M: tokens of a pass. R: tokens whose results are wanted. Grey steps need no kernel.", "s");
    y_ = 70;
    for (const Fold &fold : folded(program_)) draw_fold(fold);
    return fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\">\n",
                       kWidth, y_ + 20, kWidth, y_ + 20) +
           kHead + body_ + "</svg>\n";
  }

 private:
  void text(int x, int y, const std::string &what, const char *style, const char *anchor = "start") {
    body_ += fmt::format("<text x=\"{}\" y=\"{}\" class=\"{}\" text-anchor=\"{}\">{}</text>\n", x, y, style, anchor,
                         escaped(what));
  }

  // Rows of the fold begin at top_; the entry is row -1.
  int row_top(int row) const { return top_ + row * (kBoxHeight + kGap); }

  void draw_fold(const Fold &fold) {
    const int count = static_cast<int>(fold.end - fold.begin);
    const bool enters = fold.begin > 0;  // the states come from above
    top_ = y_ + kTitle + (enters ? kGap : 0);
    const int height = row_top(count) - y_;
    body_ +=
        fmt::format("<rect x=\"15\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"10\" fill=\"#fafbfc\" stroke=\"#ccd\"/>\n",
                    y_, kWidth - 30, height);
    text(30, y_ + 22, fold.title, "t");
    if (enters) text(kMiddle + 8, y_ + 22, "states, " + shape_text(program_[program_.states]), "s");

    std::vector<Edge> edges = edges_of(fold, enters);
    give_lanes(edges);
    for (int row = 0; row < count; ++row) draw_step(program_.steps[fold.begin + static_cast<size_t>(row)], row);
    for (const Edge &edge : edges) draw_edge(edge);
    y_ += height + kFoldGap;
  }

  void draw_step(const Step &step, int row) {
    const int top = row_top(row);
    body_ += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\" fill=\"{}\" stroke=\"#678\"/>\n",
                         kBoxLeft, top, kBoxWidth, kBoxHeight, colour(step));
    text(kMiddle, top + 17, step_name(step.id), "", "middle");
    std::string small;
    if (!is_host_step(step.id)) {
      const RoleInfo &role = role_info(step.role);
      small = role.spec;
      for (size_t i = 1; i < std::min<size_t>(step.sizes.size(), 4); ++i)
        small += fmt::format(" {}={}", role.sizes[i], step.sizes[i]);
    }
    text(kMiddle, top + 32, small, "s", "middle");
    if (outside_.count(row) == 0) return;
    const std::vector<std::string> &names = outside_.at(row);
    const int lines = static_cast<int>(names.size());
    for (int i = 0; i < lines; ++i)
      text(kBoxLeft - 40, top + kBoxHeight / 2 + 4 + 12 * i - 6 * (lines - 1), names[static_cast<size_t>(i)], "s",
           "end");
    body_ += fmt::format("<path class=\"p\" d=\"M{},{} L{},{}\"/>\n", kBoxLeft - 36, top + kBoxHeight / 2, kBoxLeft,
                         top + kBoxHeight / 2);
  }

  // What flows inside the fold; what comes from outside is noted for each row.
  std::vector<Edge> edges_of(const Fold &fold, bool enters) {
    std::vector<Edge> edges;
    outside_.clear();
    std::map<BufferId, std::vector<int>> writers;
    if (enters) writers[program_.states] = {-1};
    for (size_t i = fold.begin; i < fold.end; ++i) {
      const Step &step = program_.steps[i];
      const int row = static_cast<int>(i - fold.begin);
      for (const View &view : step.operands) {
        const Buffer &buffer = program_[view.buffer];
        if (view.written && !is_host_step(step.id)) continue;
        const auto from = writers.find(view.buffer);
        if (from == writers.end() && !view.written)
          outside_[row].push_back(buffer.name + ", " + shape_text(buffer));
        else if (from != writers.end())
          for (const int writer : from->second) add(edges, {writer, row, buffer.name});
      }
      for (const View &view : step.operands) {
        if (!view.written) continue;
        if (program_[view.buffer].kind == BufferKind::Cache)
          writers[view.buffer].push_back(row);
        else
          writers[view.buffer] = {row};
      }
    }
    return edges;
  }

  static void add(std::vector<Edge> &edges, Edge edge) {
    for (Edge &known : edges)
      if (known.from == edge.from && known.to == edge.to) {
        if ((", " + known.label + ",").find(", " + edge.label + ",") == std::string::npos)
          known.label += ", " + edge.label;
        return;
      }
    edges.push_back(std::move(edge));
  }

  // Edges round the right side that meet in height get lanes of their own, short ones inside.
  void give_lanes(std::vector<Edge> &edges) {
    lanes_ = 0;
    std::vector<Edge *> far;
    for (Edge &edge : edges)
      if (edge.to > edge.from + 1) far.push_back(&edge);
    std::stable_sort(far.begin(), far.end(),
                     [](const Edge *a, const Edge *b) { return a->to - a->from < b->to - b->from; });
    for (size_t i = 0; i < far.size(); ++i) {
      int lane = 1;
      for (bool again = true; again;) {
        again = false;
        for (size_t j = 0; j < i; ++j)
          if (far[j]->lane == lane && far[j]->from < far[i]->to && far[i]->from < far[j]->to) ++lane, again = true;
      }
      far[i]->lane = lane;
      for (size_t j = 0; j < i; ++j)
        if (far[j]->to == far[i]->to) ++far[i]->landing;
      lanes_ = std::max(lanes_, lane);
    }
  }

  void draw_edge(const Edge &edge) {
    const int begin = edge.from < 0 ? top_ - kGap - 10 : row_top(edge.from) + kBoxHeight, end = row_top(edge.to);
    if (edge.lane == 0) {
      body_ += fmt::format("<path class=\"p\" d=\"M{},{} L{},{}\"/>\n", kMiddle, begin, kMiddle, end);
      if (edge.from >= 0) text(kMiddle + 8, (begin + end) / 2 + 4, edge.label, "s");
      return;
    }
    const int out = edge.from < 0 ? begin : begin - 12, in = end + 8 + 10 * edge.landing,
              x = kBoxRight + edge.lane * kLane;
    body_ += fmt::format("<path class=\"p\" d=\"M{},{} L{},{} L{},{} L{},{}\"/>\n", edge.from < 0 ? kMiddle : kBoxRight,
                         out, x, out, x, in, kBoxRight, in);
    text(kBoxRight + (lanes_ + 1) * kLane, in + 4, edge.label, "s");
  }

  const Program &program_;
  std::string body_;
  int y_ = 0, top_ = 0, lanes_ = 0;
  std::map<int, std::vector<std::string>> outside_;
};

}  // namespace

std::string program_svg(const Program &program) { return Picture(program).draw(); }

}  // namespace bittern::runtime
