// A receiver for tests, through the real SoapySDR library: plays a cs16 file for ever at its pace, with hardware time, and
// does what receivers do wrong.
//
// Arguments: driver=recording, file=PATH;
//   channels=N      as many channels, all with the same samples;
//   format=CS8      its own format and full scale: CS8, CS16 (the default), CS12 (as CS16 with a full scale of 2048), CF32;
//   timeless=1      no hardware time;   utc=1   hardware time is UTC;
//   analogue=DBM    a front end before the converter (cs16 only): the recording's full scale is DBM at the antenna, gain acts, and
//                   there is noise: nf=DB (6), bits=N of the converter (12), full_dbm=DBM that reads full scale at 0 dB gain (10);
//   tuned=HZ        plays the file only where the centre is HZ, and noise elsewhere;   stuck=HZ   cannot be tuned to HZ;
//   settle=MS       for so long after a change of the centre the samples are rubbish at full scale;
//   state=PATH      what outlives an opening: when the first one was, which faults are over, until when it is unplugged;
//   faults=KIND@SAMPLE:VALUE;...   counted from the first opening, each once. Samples go by whether they are read or not:
//     lose, overflow, corrupt   VALUE samples are missing, silently or with the error that says so
//     late       a read takes VALUE ms, and nothing is lost
//     timeout    VALUE ms of time-outs, the samples in between are lost
//     error      the stream fails
//     unplug     the stream fails, and there is no device for VALUE ms
//     rate       the stream fails, and the device comes back with VALUE samples a second
//     jump       the hardware's clock is set by VALUE ms
//     clip       VALUE samples are at full scale
//     hang       the read never returns, at full load
//     crash      the driver ends the process
#include <SoapySDR/Device.hpp>
#include <SoapySDR/Registry.hpp>
#include <SoapySDR/Version.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <complex>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::system_clock;
using Sample = std::complex<int16_t>;

std::string text(const SoapySDR::Kwargs &args, const char *key, const char *fallback = "") {
    const auto found = args.find(key);
    return found == args.end() ? fallback : found->second;
}

long long now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
}

struct Fault {
    std::string kind;
    long long at, value;
};

std::vector<Fault> parse_faults(const std::string &spec) {
    std::vector<Fault> faults;
    std::istringstream all(spec);
    for (std::string one; std::getline(all, one, ';');) {
        const auto at = one.find('@'), colon = one.find(':');
        if (at == std::string::npos) throw std::runtime_error("no fault: " + one);
        const auto place = one.substr(at + 1, colon == std::string::npos ? colon : colon - at - 1);
        faults.push_back({one.substr(0, at), std::stoll(place), colon == std::string::npos ? 0 : std::stoll(one.substr(colon + 1))});
    }
    return faults;
}

// Numbers by name in a file, so that the next process knows them.
class State {
  public:
    explicit State(std::string path) : path_(std::move(path)) {
        if (path_.empty()) return;
        std::ifstream file(path_);
        std::string name;
        for (long long value = 0; file >> name >> value;) values_[name] = value;
    }
    long long get(const char *name, long long fallback) const {
        const auto found = values_.find(name);
        return found == values_.end() ? fallback : found->second;
    }
    void set(const char *name, long long value) {
        values_[name] = value;
        if (path_.empty()) return;
        const auto part = path_ + ".part";
        {
            std::ofstream file(part);
            for (const auto &[key, number] : values_) file << key << ' ' << number << '\n';
        }
        std::rename(part.c_str(), path_.c_str());
    }

  private:
    std::string path_;
    std::map<std::string, long long> values_;
};

// What lies before the samples of a receiver: its noise, its gain, and a converter that has noise of its own and clips.
class FrontEnd {
  public:
    FrontEnd() = default;
    explicit FrontEnd(const SoapySDR::Kwargs &args)
        : signal_dbm_(std::stod(text(args, "analogue"))), noise_figure_db_(std::stod(text(args, "nf", "6"))),
          full_dbm_(std::stod(text(args, "full_dbm", "10"))), step_(std::ldexp(1.0f, 1 - std::stoi(text(args, "bits", "12")))) {
        std::minstd_rand random(7);
        std::normal_distribution<float> normal;
        for (auto &value : noise_) value = {normal(random), normal(random)};
    }
    void convert(Sample *out, const Sample *in, const size_t count, const long long from, const long long to, const double gain_db,
                 const double rate) const {
        const auto amplitude = [&](const double dbm) { return static_cast<float>(std::pow(10, (dbm + gain_db - full_dbm_) / 20)); };
        // A power of one in both parts together is 0 dBFS.
        const float signal = amplitude(signal_dbm_) / 32768, noise = amplitude(-174 + noise_figure_db_ + 10 * std::log10(rate)) * std::sqrt(0.5f);
        // Drawn anew from the table for each read, so that it does not repeat.
        std::minstd_rand random(static_cast<unsigned>(from) + 1);
        for (long long i = from; i < to; i++) {
            const auto &z = in[static_cast<size_t>(i) % count];
            const auto own = noise_[random() % noise_.size()], rounding = noise_[random() % noise_.size()];
            const auto digital = [&](const int16_t value, const float mine, const float converters) {
                const float volt = static_cast<float>(value) * signal + mine * noise + converters * 0.5f * step_;
                return static_cast<int16_t>(32768 * std::clamp(std::round(volt / step_) * step_, -1.0f, 1.0f - step_));
            };
            out[i - from] = {digital(z.real(), own.real(), rounding.real()), digital(z.imag(), own.imag(), rounding.imag())};
        }
    }

  private:
    double signal_dbm_ = 0, noise_figure_db_ = 0, full_dbm_ = 0;
    float step_ = 1;
    std::vector<std::complex<float>> noise_ = std::vector<std::complex<float>>(1 << 14);
};

class RecordingDevice : public SoapySDR::Device {
  public:
    explicit RecordingDevice(const SoapySDR::Kwargs &args)
        : state_(text(args, "state")), faults_(parse_faults(text(args, "faults"))), format_(text(args, "format", "CS16")),
          channels_(std::stoul(text(args, "channels", "1"))), timeless_(text(args, "timeless") == "1"),
          utc_(text(args, "utc") == "1"), tuned_(std::stod(text(args, "tuned", "0"))), stuck_(std::stod(text(args, "stuck", "0"))),
          settle_s_(std::stod(text(args, "settle", "0")) * 1e-3) {
        if (now_ns() < state_.get("gone_until", 0)) throw std::runtime_error("no such device: it is unplugged");
        map(args.at("file"));
        analogue_ = args.count("analogue") != 0;
        if (analogue_) front_ = FrontEnd(args);
        std::minstd_rand random(11);
        std::normal_distribution<float> normal(0, 100);
        for (auto &z : hiss_) z = {static_cast<int16_t>(normal(random)), static_cast<int16_t>(normal(random))};
        done_ = static_cast<size_t>(state_.get("done", 0));
        forced_rate_ = static_cast<double>(state_.get("rate", 0));
    }

    ~RecordingDevice() override { munmap(const_cast<Sample *>(samples_), count_ * sizeof(Sample)); }
    RecordingDevice(const RecordingDevice &) = delete;
    RecordingDevice &operator=(const RecordingDevice &) = delete;

    std::string getDriverKey() const override { return "recording"; }
    std::string getHardwareKey() const override { return "recording"; }
    size_t getNumChannels(const int direction) const override { return direction == SOAPY_SDR_RX ? channels_ : 0; }
    std::vector<std::string> listAntennas(const int, const size_t) const override { return {"RX", "RX2"}; }
    void setAntenna(const int, const size_t, const std::string &name) override {
        if (name != "RX" && name != "RX2") throw std::runtime_error("no antenna " + name + ", it has RX and RX2");
    }

    void setSampleRate(const int, const size_t, const double rate) override {
        if (rate > 100e6) throw std::runtime_error("the sample rate must be at most 100 MHz");
        rate_ = forced_rate_ > 0 ? forced_rate_ : rate;
    }
    double getSampleRate(const int, const size_t) const override { return rate_; }
    SoapySDR::RangeList getSampleRateRange(const int, const size_t) const override { return {SoapySDR::Range(1e5, 100e6)}; }
    void setFrequency(const int, const size_t channel, const std::string &, const double hz, const SoapySDR::Kwargs &) override {
        if (hz == stuck_) throw std::runtime_error("the synthesiser does not lock");
        center_[channel] = hz;
        if (streams_) rubbish_until_ = place_ + static_cast<long long>(settle_s_ * rate_ + 0.5);
    }
    double getFrequency(const int, const size_t channel, const std::string &) const override {
        const auto found = center_.find(channel);
        return found == center_.end() ? 0 : found->second;
    }
    std::vector<std::string> listFrequencies(const int, const size_t) const override { return {"RF"}; }
    SoapySDR::RangeList getFrequencyRange(const int, const size_t, const std::string &) const override { return {SoapySDR::Range(1e7, 6e9)}; }
    bool hasGainMode(const int, const size_t) const override { return true; }
    void setGainMode(const int, const size_t, const bool automatic) override { automatic_ = automatic; }
    std::vector<std::string> listGains(const int, const size_t) const override { return {"LNA", "VGA"}; }
    void setGain(const int, const size_t, const std::string &name, const double db) override {
        if (name != "LNA" && name != "VGA") throw std::runtime_error("no gain " + name + ", it has LNA and VGA");
        gain_[name] = db;
    }
    double getGain(const int, const size_t, const std::string &name) const override {
        const auto found = gain_.find(name);
        return found == gain_.end() ? 0 : found->second;
    }
    SoapySDR::Range getGainRange(const int, const size_t, const std::string &) const override { return {0.0, 30.0}; }
    std::vector<std::string> listSensors() const override { return {"temperature"}; }
    std::string readSensor(const std::string &) const override { return "41.5"; }

    std::string getNativeStreamFormat(const int, const size_t, double &full_scale) const override {
        full_scale = format_ == "CS8" ? 128 : format_ == "CS12" ? 2048 : format_ == "CF32" ? 1 : 32768;
        return format_ == "CS12" ? "CS16" : format_;
    }
    std::vector<std::string> getStreamFormats(const int, const size_t) const override { return {"CS8", "CS16", "CF32"}; }
    SoapySDR::Stream *setupStream(const int direction, const std::string &format, const std::vector<size_t> &channels,
                                  const SoapySDR::Kwargs &) override {
        if (direction != SOAPY_SDR_RX) throw std::runtime_error("this device only receives");
        if (automatic_) throw std::runtime_error("automatic gain is on");
        stream_format_ = format;
        streamed_ = std::max<size_t>(channels.size(), 1);
        return reinterpret_cast<SoapySDR::Stream *>(this);
    }
    void closeStream(SoapySDR::Stream *) override {}
    int activateStream(SoapySDR::Stream *, const int, const long long, const size_t) override {
        streams_ = true;
        const auto first = state_.get("first_ns", 0);
        began_ns_ = first != 0 ? first : now_ns();
        if (first == 0) state_.set("first_ns", began_ns_);
        // Samples have gone by since.
        place_ = first == 0 ? 0 : samples_until(now_ns());
        return 0;
    }
    int deactivateStream(SoapySDR::Stream *, const int, const long long) override { return 0; }

    int readStream(SoapySDR::Stream *, void *const *buffers, const size_t wanted, int &flags, long long &time_ns,
                   const long timeout_us) override {
        flags = 0;
        long long end = place_ + static_cast<long long>(std::min<size_t>(wanted, 4096));
        if (done_ < faults_.size()) {
            const auto &fault = faults_[done_];
            if (fault.at <= place_) {
                const int code = begin(fault);
                if (code != 0) return code;
                return readStream(nullptr, buffers, wanted, flags, time_ns, timeout_us);
            }
            end = std::min(end, fault.at);
        }
        if (place_ < rubbish_until_) end = std::min(end, rubbish_until_);
        if (now_ns() < silent_until_ns_) {
            sleep_us(timeout_us);
            place_ = std::max(place_, samples_until(std::min(now_ns(), silent_until_ns_)));
            return SOAPY_SDR_TIMEOUT;
        }
        // The samples of a read are there when the last of them was heard.
        const long long due_ns = ns_of(end);
        if (due_ns - now_ns() > timeout_us * 1000) {
            sleep_us(timeout_us);
            return SOAPY_SDR_TIMEOUT;
        }
        sleep_us((due_ns - now_ns()) / 1000);
        for (size_t channel = 0; channel < streamed_; channel++) {
            if (place_ < rubbish_until_ || (tuned_ > 0 && getFrequency(SOAPY_SDR_RX, channel, "RF") != tuned_)) beside(buffers[channel], place_, end);
            else write(buffers[channel], place_, end);
        }
        if (!timeless_) {
            flags = SOAPY_SDR_HAS_TIME;
            const long long since = static_cast<long long>(static_cast<double>(place_) / rate_ * 1e9 + 0.5);
            time_ns = (utc_ ? began_ns_ : 1'000'000'000) + since + jumped_ns_;
        }
        const int count = static_cast<int>(end - place_);
        place_ = end;
        return count;
    }

  private:
    long long samples_until(const long long ns) const { return static_cast<long long>(static_cast<double>(ns - began_ns_) * 1e-9 * rate_); }
    long long ns_of(const long long sample) const { return began_ns_ + static_cast<long long>(static_cast<double>(sample) / rate_ * 1e9); }
    static void sleep_us(const long long us) {
        if (us > 0) std::this_thread::sleep_for(std::chrono::microseconds(us));
    }

    // All devices that play a file share its memory.
    void map(const std::string &path) {
        const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
        struct stat about {};
        if (file < 0 || fstat(file, &about) != 0) throw std::runtime_error("cannot read " + path);
        count_ = static_cast<size_t>(about.st_size) / sizeof(Sample);
        if (count_ == 0) throw std::runtime_error("nothing in " + path);
        void *memory = mmap(nullptr, count_ * sizeof(Sample), PROT_READ, MAP_SHARED, file, 0);
        close(file);
        if (memory == MAP_FAILED) throw std::runtime_error("cannot map " + path);
        samples_ = static_cast<const Sample *>(memory);
    }

    // Starts a fault; an error code, or 0 where the read goes on.
    int begin(const Fault &fault) {
        state_.set("done", static_cast<long long>(++done_));
        const long long value_ns = fault.value * 1'000'000;
        if (fault.kind == "lose") place_ += fault.value;
        else if (fault.kind == "overflow") { place_ += fault.value; return SOAPY_SDR_OVERFLOW; }
        else if (fault.kind == "corrupt") { place_ += fault.value; return SOAPY_SDR_CORRUPTION; }
        else if (fault.kind == "late") sleep_us(fault.value * 1000);
        else if (fault.kind == "timeout") silent_until_ns_ = now_ns() + value_ns;
        else if (fault.kind == "error") return SOAPY_SDR_STREAM_ERROR;
        else if (fault.kind == "unplug") { state_.set("gone_until", now_ns() + value_ns); return SOAPY_SDR_STREAM_ERROR; }
        else if (fault.kind == "rate") { state_.set("rate", fault.value); state_.set("first_ns", now_ns()); return SOAPY_SDR_STREAM_ERROR; }
        else if (fault.kind == "jump") jumped_ns_ += value_ns;
        else if (fault.kind == "clip") clip_until_ = place_ + fault.value;
        else if (fault.kind == "hang") for (volatile bool forever = true; forever;) {}
        else if (fault.kind == "crash") std::abort();
        else throw std::runtime_error("no fault of kind " + fault.kind);
        return 0;
    }

    // What a receiver gives where its recording is not: rubbish until it has settled, and noise (cs16 only).
    void beside(void *out, const long long from, const long long to) const {
        std::minstd_rand random(static_cast<unsigned>(from) + 1);
        for (long long i = from; i < to; i++) {
            const auto draw = random();
            const auto end = [&](const unsigned long bit) { return static_cast<int16_t>(draw & bit ? INT16_MAX : INT16_MIN); };
            const Sample full = {end(64), end(128)};
            static_cast<Sample *>(out)[i - from] = i < rubbish_until_ ? full : hiss_[draw / 256 % hiss_.size()];
        }
    }

    void write(void *out, const long long from, const long long to) const {
        if (analogue_) {
            double gain_db = 0;
            for (const auto &[name, db] : gain_) gain_db += db;
            return front_.convert(static_cast<Sample *>(out), samples_, count_, from, to, gain_db, rate_);
        }
        if (from >= clip_until_ && stream_format_ == "CS16" && format_ != "CS12") return copy(static_cast<Sample *>(out), from, to);
        for (long long i = from; i < to; i++) {
            Sample z = samples_[static_cast<size_t>(i) % count_];
            if (i < clip_until_) z = {32767, -32768};
            const auto n = static_cast<size_t>(i - from);
            if (stream_format_ == "CS8") static_cast<std::complex<int8_t> *>(out)[n] = {static_cast<int8_t>(z.real() >> 8), static_cast<int8_t>(z.imag() >> 8)};
            else if (stream_format_ == "CF32") static_cast<std::complex<float> *>(out)[n] = {z.real() / 32768.0f, z.imag() / 32768.0f};
            else if (format_ == "CS12") static_cast<std::complex<int16_t> *>(out)[n] = {static_cast<int16_t>(z.real() >> 4), static_cast<int16_t>(z.imag() >> 4)};
            else static_cast<std::complex<int16_t> *>(out)[n] = z;
        }
    }

    // As they are: several devices at full rate leave the processor to what is tested.
    void copy(Sample *out, long long from, const long long to) const {
        while (from < to) {
            const auto place = static_cast<size_t>(from) % count_;
            const auto run = std::min<size_t>(static_cast<size_t>(to - from), count_ - place);
            out = std::copy_n(samples_ + place, run, out);
            from += static_cast<long long>(run);
        }
    }

    const Sample *samples_ = nullptr;
    size_t count_ = 0;
    State state_;
    std::vector<Fault> faults_;
    std::string format_, stream_format_;
    size_t channels_, streamed_ = 1, done_ = 0;
    bool timeless_, utc_, automatic_ = true;
    double rate_ = 1e6, forced_rate_ = 0;
    std::map<size_t, double> center_;
    std::map<std::string, double> gain_;
    bool analogue_ = false, streams_ = false;
    double tuned_, stuck_, settle_s_;
    long long rubbish_until_ = 0;
    std::vector<Sample> hiss_ = std::vector<Sample>(1 << 14);
    FrontEnd front_;
    long long place_ = 0, began_ns_ = 0, silent_until_ns_ = 0, jumped_ns_ = 0, clip_until_ = 0;
};

SoapySDR::KwargsList find(const SoapySDR::Kwargs &args) {
    const auto driver = args.find("driver");
    return driver != args.end() && driver->second == "recording" ? SoapySDR::KwargsList{args} : SoapySDR::KwargsList{};
}

SoapySDR::Device *make(const SoapySDR::Kwargs &args) { return new RecordingDevice(args); }

const SoapySDR::Registry registered("recording", &find, &make, SOAPY_SDR_ABI_VERSION);

} // namespace
