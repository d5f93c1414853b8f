// A receiver for tests: plays a cs16 file through the real SoapySDR library, at its pace, with hardware time, and loses
// samples where it is told to. Arguments: driver=recording, file=PATH, lose_at=SAMPLE, lose=SAMPLES,
// overflow=1 (says so besides, with the time that shows it), timeless=1 (no hardware time), silent=1 (nothing ever comes).
#include <SoapySDR/Device.hpp>
#include <SoapySDR/Registry.hpp>
#include <SoapySDR/Version.hpp>

#include <algorithm>
#include <chrono>
#include <complex>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

long long number(const SoapySDR::Kwargs &args, const char *key) {
    const auto found = args.find(key);
    return found == args.end() ? 0 : std::stoll(found->second);
}

class RecordingDevice : public SoapySDR::Device {
  public:
    explicit RecordingDevice(const SoapySDR::Kwargs &args)
        : lose_at_(number(args, "lose_at")), lose_(number(args, "lose")), overflow_(number(args, "overflow") != 0),
          timeless_(number(args, "timeless") != 0), silent_(number(args, "silent") != 0) {
        std::ifstream file(args.at("file"), std::ios::binary | std::ios::ate);
        if (!file) throw std::runtime_error("cannot read " + args.at("file"));
        samples_.resize(static_cast<size_t>(file.tellg()) / sizeof(samples_[0]));
        file.seekg(0);
        file.read(reinterpret_cast<char *>(samples_.data()), static_cast<std::streamsize>(samples_.size() * sizeof(samples_[0])));
    }

    std::string getDriverKey() const override { return "recording"; }
    size_t getNumChannels(const int direction) const override { return direction == SOAPY_SDR_RX ? 1 : 0; }

    void setSampleRate(const int, const size_t, const double rate) override {
        if (rate > 100e6) throw std::runtime_error("the sample rate must be at most 100 MHz");
        rate_ = rate;
    }
    double getSampleRate(const int, const size_t) const override { return rate_; }
    void setFrequency(const int, const size_t, const std::string &, const double hz, const SoapySDR::Kwargs &) override {
        center_ = hz;
    }
    double getFrequency(const int, const size_t, const std::string &) const override { return center_; }
    std::vector<std::string> listFrequencies(const int, const size_t) const override { return {"RF"}; }
    bool hasGainMode(const int, const size_t) const override { return true; }
    void setGainMode(const int, const size_t, const bool automatic) override { automatic_ = automatic; }
    std::vector<std::string> listGains(const int, const size_t) const override { return {"LNA"}; }
    void setGain(const int, const size_t, const std::string &, const double) override {}
    SoapySDR::Range getGainRange(const int, const size_t, const std::string &) const override { return {0.0, 60.0}; }

    std::string getNativeStreamFormat(const int, const size_t, double &full_scale) const override {
        full_scale = 32768;
        return "CS16";
    }
    std::vector<std::string> getStreamFormats(const int, const size_t) const override { return {"CS16"}; }
    SoapySDR::Stream *setupStream(const int direction, const std::string &format, const std::vector<size_t> &,
                                  const SoapySDR::Kwargs &) override {
        if (direction != SOAPY_SDR_RX || format != "CS16") throw std::runtime_error("this device only receives, in CS16");
        if (automatic_) throw std::runtime_error("automatic gain is on");
        return reinterpret_cast<SoapySDR::Stream *>(this);
    }
    void closeStream(SoapySDR::Stream *) override {}
    int activateStream(SoapySDR::Stream *, const int, const long long, const size_t) override {
        began_ = Clock::now();
        return 0;
    }
    int deactivateStream(SoapySDR::Stream *, const int, const long long) override { return 0; }

    int readStream(SoapySDR::Stream *, void *const *buffers, const size_t wanted, int &flags, long long &time_ns,
                   const long timeout_us) override {
        flags = 0;
        size_t end = samples_.size();
        const bool ahead = lose_ > 0 && place_ < static_cast<size_t>(lose_at_);
        if (ahead) end = std::min(end, static_cast<size_t>(lose_at_));
        if (lose_ > 0 && place_ == static_cast<size_t>(lose_at_)) {
            place_ += static_cast<size_t>(lose_);
            lose_ = 0;
            if (overflow_) return SOAPY_SDR_OVERFLOW;
        }
        if (silent_ || place_ >= samples_.size()) {
            std::this_thread::sleep_for(std::chrono::microseconds(timeout_us));
            return SOAPY_SDR_TIMEOUT;
        }
        const size_t count = std::min({wanted, end - place_, size_t{4096}});
        auto *out = static_cast<std::complex<int16_t> *>(buffers[0]);
        std::copy_n(samples_.begin() + static_cast<std::ptrdiff_t>(place_), count, out);
        if (!timeless_) {
            flags = SOAPY_SDR_HAS_TIME;
            time_ns = 1'000'000'000 + static_cast<long long>(static_cast<double>(place_) / rate_ * 1e9 + 0.5);
        }
        place_ += count;
        std::this_thread::sleep_until(began_ + std::chrono::nanoseconds(static_cast<long long>(static_cast<double>(place_) / rate_ * 1e9)));
        return static_cast<int>(count);
    }

  private:
    std::vector<std::complex<int16_t>> samples_;
    size_t place_ = 0;
    long long lose_at_, lose_;
    bool overflow_, timeless_, silent_, automatic_ = true;
    double rate_ = 1e6, center_ = 0;
    Clock::time_point began_;
};

SoapySDR::KwargsList find(const SoapySDR::Kwargs &args) {
    const auto driver = args.find("driver");
    return driver != args.end() && driver->second == "recording" ? SoapySDR::KwargsList{args} : SoapySDR::KwargsList{};
}

SoapySDR::Device *make(const SoapySDR::Kwargs &args) { return new RecordingDevice(args); }

const SoapySDR::Registry registered("recording", &find, &make, SOAPY_SDR_ABI_VERSION);

} // namespace
