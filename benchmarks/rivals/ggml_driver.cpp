// llama.cpp, or a fork of it, as one of the engines that are compared: questions on stdin, answers on stdout, a line each.
//
// Compiled against the headers and libraries of the release that is measured (`llama_cpp.py`), so that the compiler and
// not a guess lays out its structures. What is timed is what its own benchmarks time: prompts as llama-bench's `pp`,
// decoding as llama-batched-bench's `TG` (made-up tokens, no sampling). The list of requests is served by continuous
// batching: every step holds one token of each running request and as much of the waiting prompts as the batch takes.
//
//     ggml_driver MODEL.gguf THREADS BACKENDS_FOLDER

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "llama.h"

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kBatch = 2048;  // tokens of a call, and of a step: llama.cpp's own default

double seconds_since(Clock::time_point began) { return std::chrono::duration<double>(Clock::now() - began).count(); }

[[noreturn]] void fail(const std::string& what) {
  std::cerr << "ggml_driver: " << what << std::endl;
  std::exit(1);
}

// Token i of request k, as the list's rule has it.
llama_token token_of(int k, int i) { return 100 + (k * 7919LL + i * 104729LL + (long long)i * i % 977) % 7000; }

void clear(llama_context* context) {
#ifdef RIVAL_IK
  llama_kv_cache_clear(context);
#else
  llama_memory_clear(llama_get_memory(context), false);
#endif
}

void forget(llama_context* context, llama_seq_id sequence) {
#ifdef RIVAL_IK
  llama_kv_cache_seq_rm(context, sequence, -1, -1);
#else
  llama_memory_seq_rm(llama_get_memory(context), sequence, -1, -1);
#endif
}

struct Request {
  int prompt_len, output_len;
  int computed = 0, produced = 0;
  llama_token next = 0;
};

class Engine {
 public:
  Engine(const char* path, int threads) : threads_(threads) {
    llama_model_params params = llama_model_default_params();
    model_ = llama_model_load_from_file(path, params);
    if (model_ == nullptr) fail(std::string("could not load ") + path);
    vocab_size_ = llama_vocab_n_tokens(llama_model_get_vocab(model_));
    batch_ = llama_batch_init(kBatch, 0, 1);
  }

  // Room for `rows` sequences of `length` tokens each; warmed up, empty.
  void make_room(int rows, int length, bool unified) {
    if (context_ != nullptr && rows == rows_ && length <= length_ && unified == unified_) return clear(context_);
    if (context_ != nullptr) llama_free(context_);
    llama_context_params params = llama_context_default_params();
    params.n_ctx = rows * ((length + 255) / 256 * 256);
    params.n_batch = kBatch;
    params.n_seq_max = rows;
    params.n_threads = params.n_threads_batch = threads_;
#ifdef RIVAL_IK
    params.flash_attn = rows == 1;  // its kernel aborts where a row sees nothing of a stretch of keys
#else
    params.kv_unified = unified;
#endif
    context_ = llama_init_from_model(model_, params);
    if (context_ == nullptr) fail("could not make a context");
    rows_ = rows, length_ = (length + 255) / 256 * 256, unified_ = unified;
    for (int i = 0; i < 16; ++i) add(token_of(0, i), i, 0, i == 15);
    compute();
    clear(context_);
  }

  void add(llama_token token, llama_pos position, llama_seq_id sequence, bool wanted) {
    const int i = batch_.n_tokens++;
    batch_.token[i] = token;
    batch_.pos[i] = position;
    batch_.n_seq_id[i] = 1;
    batch_.seq_id[i][0] = sequence;
    batch_.logits[i] = wanted;
  }

  void compute() {
    if (llama_decode(context_, batch_) != 0) fail("llama_decode failed");
    llama_synchronize(context_);
    batch_.n_tokens = 0;
  }

  // The prompts of all rows, in as few calls as they fit.
  double prefill(int rows, int length) {
    const auto began = Clock::now();
    for (int row = 0; row < rows; ++row)
      for (int i = 0; i < length; ++i) {
        add(token_of(row, i), i, row, i == length - 1);
        if (batch_.n_tokens == kBatch) compute();
      }
    if (batch_.n_tokens > 0) compute();
    return seconds_since(began);
  }

  // Rows of `depth` tokens each, which `more` goes on with for up to `steps` steps.
  void fill(int rows, int depth, int steps) {
    make_room(rows, depth + steps, false);
    prefill(rows, depth);
    depth_ = depth;
  }

  double more(int steps) {
    const auto began = Clock::now();
    for (int step = 0; step < steps; ++step, ++depth_) {
      for (int row = 0; row < rows_; ++row) add(token_of(row, depth_), depth_, row, true);
      compute();
    }
    return seconds_since(began);
  }

  double serve(std::vector<Request>& requests) {
    const auto began = Clock::now();
    while (step(requests)) {
    }
    return seconds_since(began);
  }

  // The most likely tokens after the prompt of request 0, one by one.
  std::vector<llama_token> continuation(int length, int count) {
    prefill(1, length);
    std::vector<llama_token> tokens{best(-1)};
    while ((int)tokens.size() < count) {
      add(tokens.back(), length + tokens.size() - 1, 0, true);
      compute();
      tokens.push_back(best(-1));
    }
    return tokens;
  }

 private:
  llama_token best(int index) const {
    const float* logits = llama_get_logits_ith(context_, index);
    return std::max_element(logits, logits + vocab_size_) - logits;
  }

  // One step of continuous batching; whether there was anything to do.
  bool step(std::vector<Request>& requests) {
    std::vector<std::pair<int, int>> sampled;  // request, row of the batch
    for (int k = 0; k < (int)requests.size(); ++k) {
      Request& one = requests[k];
      if (one.produced == 0 || one.produced >= one.output_len) continue;
      sampled.emplace_back(k, batch_.n_tokens);
      add(one.next, one.computed++, k, true);
    }
    for (int k = 0; k < (int)requests.size(); ++k) {
      Request& one = requests[k];
      while (one.computed < one.prompt_len && batch_.n_tokens < kBatch) {
        const bool last = one.computed == one.prompt_len - 1;
        if (last) sampled.emplace_back(k, batch_.n_tokens);
        add(token_of(k, one.computed), one.computed, k, last);
        ++one.computed;
      }
    }
    if (batch_.n_tokens == 0) return false;
    compute();
    for (auto [k, row] : sampled) {
      requests[k].next = best(row);
      if (++requests[k].produced == requests[k].output_len) forget(context_, k);
    }
    return true;
  }

  int threads_, vocab_size_, rows_ = 0, length_ = 0, depth_ = 0;
  bool unified_ = false;
  llama_model* model_;
  llama_context* context_ = nullptr;
  llama_batch batch_;
};

std::string number(const char* name, double value) {
  char text[64];
  std::snprintf(text, sizeof text, "{\"%s\": %.9f}", name, value);
  return text;
}

std::string answer_requests(Engine& engine, std::istringstream& words) {
  std::vector<Request> requests;
  int longest = 0;
  for (int prompt, output; words >> prompt >> output;) {
    requests.push_back({prompt, output});
    longest = std::max(longest, prompt + output);
  }
  const char* split = std::getenv("RIVAL_SPLIT_CACHE");
  engine.make_room(requests.size(), longest, split == nullptr);
  return number("seconds", engine.serve(requests));
}

std::string answer(Engine& engine, const std::string& line) {
  std::istringstream words(line);
  std::string what;
  words >> what;
  if (what == "requests") return answer_requests(engine, words);
  int a = 0, b = 0, c = 0;
  words >> a >> b >> c;
  if (what == "prefill") {
    engine.make_room(1, a, false);
    return number("seconds", engine.prefill(1, a));
  }
  if (what == "fill") {
    engine.fill(a, b, c);
    return "{}";
  }
  if (what == "more") return number("seconds", engine.more(a));
  if (what == "continuation") {
    engine.make_room(1, a + b, false);
    std::string told;
    for (llama_token token : engine.continuation(a, b)) told += (told.empty() ? "" : ", ") + std::to_string(token);
    return "{\"tokens\": [" + told + "]}";
  }
  fail("asked for '" + what + "', expected prefill, fill, more, requests or continuation");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) fail("expected MODEL.gguf THREADS BACKENDS_FOLDER");
#ifndef RIVAL_IK
  if (std::getenv("RIVAL_VERBOSE") == nullptr) llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  ggml_backend_load_all_from_path(argv[3]);
#endif
  llama_backend_init();
  Engine engine(argv[1], std::atoi(argv[2]));
  std::cout << "{\"ready\": true, \"about\": \"" << llama_print_system_info() << "\"}" << std::endl;
  for (std::string line; std::getline(std::cin, line) && line != "end";) std::cout << answer(engine, line) << std::endl;
}
