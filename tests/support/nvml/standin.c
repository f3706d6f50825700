/* A stand-in for libnvidia-ml.so.1 where there is no GPU: for tests only, and for nothing that reports a cost.
 *
 * It has the ABI of the calls that the agent makes, and takes what it answers from the text file that NVML_STANDIN_STATE
 * names: lines "key=value", read again whenever the file is another one, so that a test can change the node under a
 * running agent. Counters and utilisation samples run with the clock, as in a driver: a level holds from the moment
 * its file was first seen.
 *
 *   driver=570.00          init=9 makes nvmlInit answer that error; count=9 the same for the number of GPUs
 *   gpus=2
 *   gpu0.uuid= .name= .minor= .bus= .total= .used= .reserved= (MiB)  .power= (mW) .energy= (mJ) .xid= (once per new file)
 *   gpu0.util=0,100        one sample each 100 ms, in turns
 *   gpu0.mig=1  gpu0.gpm=1 gpu0.gpm.<metric>=<level in percent, or nan>
 *   gpu0.mig<slot>.uuid= .gi= .ci= .profile= (number) .start= .slices= .memory= .used= (MiB)  .gpm.<metric>=
 *   gpu0.profile<k>=<number>:<name>    names of the profiles
 *   gpu0.hang.<call>=<seconds>         the call takes so long
 *   gpu0.error.<call>=<nvmlReturn>     the call fails for this GPU and its instances; gpu0.error.*= every call does
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TIMEOUT = 10 };
enum { MAX_LINES = 1024, MAX_GPUS = 16, MAX_SLOTS = 8, MAX_METRICS = 16, SAMPLE_MICROS = 100000, SAMPLES = 120 };

typedef int Return;

/* --- the library's structures; a test compares each with pynvml's own definition */

typedef struct { char busIdLegacy[16]; unsigned domain, bus, device, pciDeviceId, pciSubSystemId; char busId[32]; } PciInfo;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef struct { unsigned gpu, memory; } Utilization;
typedef union { double dVal; unsigned uiVal; unsigned long ulVal; unsigned long long ullVal; long long sllVal; int siVal; unsigned short usVal; } Value;
typedef struct { unsigned long long timeStamp; Value sampleValue; } Sample;
typedef struct { unsigned multiprocessorCount, sharedCopyEngineCount, sharedDecoderCount, sharedEncoderCount, sharedJpegCount, sharedOfaCount, gpuInstanceSliceCount, computeInstanceSliceCount; unsigned long long memorySizeMB; } Attributes;
typedef struct { unsigned start, size; } Placement;
typedef struct { void *device; unsigned id, profileId; Placement placement; } GpuInstanceInfo;
typedef struct { unsigned version, id, isP2pSupported, sliceCount, instanceCount, multiprocessorCount, copyEngineCount, decoderCount, encoderCount, jpegCount, ofaCount; unsigned long long memorySizeMB; char name[96]; } ProfileInfoV2;
typedef struct { void *device; unsigned long long eventType, eventData; unsigned gpuInstanceId, computeInstanceId; } EventData;
typedef struct { const char *shortName, *longName, *unit; } MetricInfo;
typedef struct { unsigned metricId; Return nvmlReturn; double value; MetricInfo metricInfo; } GpmMetric;
typedef struct { unsigned version, numMetrics; void *sample1, *sample2; GpmMetric metrics[]; } GpmMetricsGet;
typedef struct { unsigned version, isSupportedDevice; } GpmSupport;

#define SIZE(name, type) { name, sizeof(type) }
static const struct { const char *name; size_t size; } sizes[] = {
  SIZE("nvmlPciInfo_t", PciInfo), SIZE("c_nvmlMemory_t", Memory), SIZE("c_nvmlMemory_v2_t", MemoryV2),
  SIZE("c_nvmlUtilization_t", Utilization), SIZE("c_nvmlSample_t", Sample), SIZE("c_nvmlDeviceAttributes", Attributes),
  SIZE("c_nvmlGpuInstanceInfo_t", GpuInstanceInfo), SIZE("c_nvmlGpuInstanceProfileInfo_v2_t", ProfileInfoV2),
  SIZE("c_nvmlEventData_t", EventData), SIZE("c_nvmlGpmMetric_t", GpmMetric), SIZE("c_nvmlGpmSupport_t", GpmSupport),
};
#define FIELD(name, type, field) { name "." #field, offsetof(type, field) }
static const struct { const char *name; size_t offset; } offsets[] = {
  FIELD("nvmlPciInfo_t", PciInfo, busId), FIELD("c_nvmlMemory_t", Memory, used), FIELD("c_nvmlMemory_v2_t", MemoryV2, total),
  FIELD("c_nvmlMemory_v2_t", MemoryV2, reserved), FIELD("c_nvmlMemory_v2_t", MemoryV2, free),
  FIELD("c_nvmlMemory_v2_t", MemoryV2, used), FIELD("c_nvmlUtilization_t", Utilization, gpu),
  FIELD("c_nvmlSample_t", Sample, timeStamp), FIELD("c_nvmlSample_t", Sample, sampleValue),
  FIELD("c_nvmlDeviceAttributes", Attributes, gpuInstanceSliceCount),
  FIELD("c_nvmlDeviceAttributes", Attributes, memorySizeMB), FIELD("c_nvmlGpuInstanceInfo_t", GpuInstanceInfo, profileId),
  FIELD("c_nvmlGpuInstanceInfo_t", GpuInstanceInfo, placement),
  FIELD("c_nvmlGpuInstanceProfileInfo_v2_t", ProfileInfoV2, id),
  FIELD("c_nvmlGpuInstanceProfileInfo_v2_t", ProfileInfoV2, name), FIELD("c_nvmlEventData_t", EventData, eventType),
  FIELD("c_nvmlEventData_t", EventData, eventData), FIELD("c_nvmlGpmMetric_t", GpmMetric, nvmlReturn),
  FIELD("c_nvmlGpmMetric_t", GpmMetric, value), FIELD("c_nvmlGpmMetricsGet_t", GpmMetricsGet, numMetrics),
  FIELD("c_nvmlGpmMetricsGet_t", GpmMetricsGet, sample1), FIELD("c_nvmlGpmMetricsGet_t", GpmMetricsGet, sample2),
  FIELD("c_nvmlGpmMetricsGet_t", GpmMetricsGet, metrics), FIELD("c_nvmlGpmSupport_t", GpmSupport, isSupportedDevice),
};

long standin_size(const char *name) {
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) if (!strcmp(sizes[i].name, name)) return (long)sizes[i].size;
  return -1;
}

const char *standin_field(unsigned place) { return place < sizeof offsets / sizeof *offsets ? offsets[place].name : NULL; }
long standin_offset(unsigned place) { return (long)offsets[place].offset; }

/* --- the state file */

typedef struct { int gpu, slot; } Device; /* slot -1: the GPU itself */

static char lines[MAX_LINES][256];
static int line_count, is_open, xid_told[MAX_GPUS];
static struct stat seen;
static Device gpus[MAX_GPUS], instances[MAX_GPUS][MAX_SLOTS];
static const unsigned metric_ids[MAX_METRICS] = {1, 2, 3, 5, 10};
static double totals[MAX_GPUS][MAX_SLOTS + 1][MAX_METRICS], totals_at;

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static const char *get(const char *key) {
  size_t length = strlen(key);
  for (int i = 0; i < line_count; i++)
    if (!strncmp(lines[i], key, length) && lines[i][length] == '=') return lines[i] + length + 1;
  return NULL;
}

static const char *text(Device d, const char *name) {
  char key[128];
  if (d.slot < 0) snprintf(key, sizeof key, "gpu%d.%s", d.gpu, name);
  else snprintf(key, sizeof key, "gpu%d.mig%d.%s", d.gpu, d.slot, name);
  return get(key);
}

static double number(Device d, const char *name, double otherwise) {
  const char *found = text(d, name);
  return found ? strtod(found, NULL) : otherwise;
}

/* Let the engines' counters run up to this moment with the levels that held until now. */
static void run_counters(void) {
  double at = now(CLOCK_MONOTONIC), passed = totals_at ? at - totals_at : 0;
  totals_at = at;
  for (int gpu = 0; gpu < MAX_GPUS; gpu++)
    for (int slot = -1; slot < MAX_SLOTS; slot++)
      for (int m = 0; m < MAX_METRICS && metric_ids[m]; m++) {
        char name[32];
        snprintf(name, sizeof name, "gpm.%u", metric_ids[m]);
        const char *level = text((Device){gpu, slot}, name);
        if (level) totals[gpu][slot + 1][m] += strtod(level, NULL) * passed;
        else totals[gpu][slot + 1][m] = 0; /* what is made anew counts anew */
      }
}

static void look(void) {
  struct stat found;
  const char *path = getenv("NVML_STANDIN_STATE");
  if (!path || stat(path, &found)) return;
  if (found.st_ino == seen.st_ino && found.st_mtim.tv_nsec == seen.st_mtim.tv_nsec && found.st_mtim.tv_sec == seen.st_mtim.tv_sec) return;
  FILE *file = fopen(path, "r");
  if (!file) return;
  run_counters();
  seen = found;
  line_count = 0;
  memset(xid_told, 0, sizeof xid_told);
  while (line_count < MAX_LINES && fgets(lines[line_count], sizeof *lines, file)) {
    lines[line_count][strcspn(lines[line_count], "\r\n")] = 0;
    line_count++;
  }
  fclose(file);
  for (int gpu = 0; gpu < MAX_GPUS; gpu++) { /* a NaN that a counter has caught goes with the file that it was in */
    for (int s = 0; s <= MAX_SLOTS; s++)
      for (int m = 0; m < MAX_METRICS; m++) if (!isfinite(totals[gpu][s][m])) totals[gpu][s][m] = 0;
  }
}

static int gpu_count(void) {
  const char *found = get("gpus");
  return found ? atoi(found) : 0;
}

/* What a call answers before it is even looked at: not initialised, or told to fail. */
static Return fate(int gpu, const char *call) {
  char name[96];
  look();
  if (!is_open) return UNINITIALIZED;
  snprintf(name, sizeof name, "hang.%s", call);
  double seconds = number((Device){gpu, -1}, name, 0);
  if (seconds > 0) nanosleep(&(struct timespec){(time_t)seconds, 0}, NULL);
  snprintf(name, sizeof name, "error.%s", call);
  const char *found = text((Device){gpu, -1}, name);
  if (!found) found = text((Device){gpu, -1}, "error.*");
  return found ? atoi(found) : SUCCESS;
}

#define DEVICE(handle) (*(const Device *)(handle))
#define CHECK(handle) do { Return r = fate(DEVICE(handle).gpu, __func__); if (r) return r; } while (0)

static void copy(char *target, const char *source, unsigned length) { snprintf(target, length, "%s", source ? source : ""); }

/* --- the library */

Return nvmlInitWithFlags(unsigned flags) {
  (void)flags;
  look();
  const char *error = get("init");
  if (error) return atoi(error);
  is_open = 1;
  for (int gpu = 0; gpu < MAX_GPUS; gpu++) {
    gpus[gpu] = (Device){gpu, -1};
    for (int slot = 0; slot < MAX_SLOTS; slot++) instances[gpu][slot] = (Device){gpu, slot};
  }
  return SUCCESS;
}

Return nvmlShutdown(void) { is_open = 0; return SUCCESS; }
const char *nvmlErrorString(Return error) { (void)error; return "an error of the stand-in"; }

Return nvmlSystemGetDriverVersion(char *version, unsigned length) {
  look();
  copy(version, get("driver"), length);
  return SUCCESS;
}

Return nvmlDeviceGetCount_v2(unsigned *count) {
  look();
  if (!is_open) return UNINITIALIZED;
  const char *error = get("count");
  *count = (unsigned)gpu_count();
  return error ? atoi(error) : SUCCESS;
}

Return nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
  Return r = fate((int)index, __func__);
  if (r) return r;
  if ((int)index >= gpu_count()) return INVALID_ARGUMENT;
  *device = &gpus[index];
  return SUCCESS;
}

Return nvmlDeviceGetUUID(void *device, char *uuid, unsigned length) {
  CHECK(device);
  copy(uuid, text(DEVICE(device), "uuid"), length);
  return SUCCESS;
}

Return nvmlDeviceGetName(void *device, char *name, unsigned length) {
  CHECK(device);
  copy(name, text(DEVICE(device), "name"), length);
  return SUCCESS;
}

Return nvmlDeviceGetMinorNumber(void *device, unsigned *minor) {
  CHECK(device);
  *minor = (unsigned)number(DEVICE(device), "minor", DEVICE(device).gpu);
  return SUCCESS;
}

Return nvmlDeviceGetPciInfo_v3(void *device, PciInfo *pci) {
  CHECK(device);
  memset(pci, 0, sizeof *pci);
  copy(pci->busId, text(DEVICE(device), "bus"), sizeof pci->busId);
  return SUCCESS;
}

Return nvmlDeviceGetMemoryInfo(void *device, Memory *memory) {
  CHECK(device);
  const double mib = 1 << 20;
  memory->total = (unsigned long long)(number(DEVICE(device), DEVICE(device).slot < 0 ? "total" : "memory", 0) * mib);
  memory->used = (unsigned long long)(number(DEVICE(device), "used", 0) * mib);
  memory->free = memory->total - memory->used;
  return SUCCESS;
}

Return nvmlDeviceGetMemoryInfo_v2(void *device, MemoryV2 *memory) {
  CHECK(device);
  if (memory->version != (sizeof *memory | 2u << 24)) return 25; /* ARGUMENT_VERSION_MISMATCH */
  Memory plain;
  Return r = nvmlDeviceGetMemoryInfo(device, &plain);
  memory->total = plain.total;
  memory->used = plain.used;
  memory->reserved = (unsigned long long)number(DEVICE(device), "reserved", 0) << 20;
  memory->free = plain.free - memory->reserved;
  return r;
}

Return nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) {
  CHECK(device);
  *milliwatts = (unsigned)number(DEVICE(device), "power", 0);
  return SUCCESS;
}

Return nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules) {
  CHECK(device);
  const char *found = text(DEVICE(device), "energy");
  if (!found) return NOT_SUPPORTED;
  *millijoules = strtoull(found, NULL, 10);
  return SUCCESS;
}

/* Utilisation: one sample in each tenth of a second of the clock, the values of the list in turns. */
static unsigned utilisation_at(Device d, unsigned long long tick) {
  const char *list = text(d, "util");
  unsigned values[64], count = 0;
  while (list && *list && count < 64) {
    char *end;
    values[count++] = (unsigned)strtoul(list, &end, 10);
    list = *end ? end + 1 : end;
  }
  return count ? values[tick % count] : 0;
}

static int without_utilisation(Device d) { return !text(d, "util") || number(d, "mig", 0) > 0; }

Return nvmlDeviceGetUtilizationRates(void *device, Utilization *rates) {
  CHECK(device);
  if (without_utilisation(DEVICE(device))) return NOT_SUPPORTED;
  rates->gpu = utilisation_at(DEVICE(device), (unsigned long long)(now(CLOCK_REALTIME) * 1e6) / SAMPLE_MICROS);
  rates->memory = 0;
  return SUCCESS;
}

Return nvmlDeviceGetSamples(void *device, unsigned kind, unsigned long long since, unsigned *type, unsigned *count, Sample *samples) {
  CHECK(device);
  if (kind != 1 || without_utilisation(DEVICE(device))) return NOT_SUPPORTED;
  *type = 1; /* unsigned int */
  if (!samples) { *count = SAMPLES; return SUCCESS; }
  unsigned long long newest = (unsigned long long)(now(CLOCK_REALTIME) * 1e6) / SAMPLE_MICROS;
  unsigned filled = 0;
  for (unsigned long long tick = newest - SAMPLES + 1; tick <= newest && filled < *count; tick++) {
    if (tick * SAMPLE_MICROS <= since) continue;
    samples[filled].timeStamp = tick * SAMPLE_MICROS;
    samples[filled++].sampleValue.uiVal = utilisation_at(DEVICE(device), tick);
  }
  *count = filled;
  return filled ? SUCCESS : NOT_FOUND;
}

/* --- MIG */

Return nvmlDeviceGetMigMode(void *device, unsigned *current, unsigned *pending) {
  CHECK(device);
  if (!text(DEVICE(device), "mig")) return NOT_SUPPORTED;
  *current = *pending = (unsigned)number(DEVICE(device), "mig", 0);
  return SUCCESS;
}

Return nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *count) {
  CHECK(device);
  *count = 7;
  return SUCCESS;
}

Return nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **instance) {
  CHECK(device);
  if (index >= MAX_SLOTS) return INVALID_ARGUMENT;
  Device *found = &instances[DEVICE(device).gpu][index];
  if (!text(*found, "uuid")) return NOT_FOUND;
  *instance = found;
  return SUCCESS;
}

Return nvmlDeviceGetGpuInstanceId(void *instance, unsigned *id) {
  CHECK(instance);
  *id = (unsigned)number(DEVICE(instance), "gi", 0);
  return SUCCESS;
}

static Device *instance_of(int gpu, unsigned id) {
  for (int slot = 0; slot < MAX_SLOTS; slot++) {
    Device *each = &instances[gpu][slot];
    if (text(*each, "uuid") && (unsigned)number(*each, "gi", 0) == id) return each;
  }
  return NULL;
}

Return nvmlDeviceGetGpuInstanceById(void *device, unsigned id, void **instance) {
  CHECK(device);
  *instance = instance_of(DEVICE(device).gpu, id);
  return *instance ? SUCCESS : NOT_FOUND;
}

Return nvmlGpuInstanceGetInfo(void *instance, GpuInstanceInfo *info) {
  CHECK(instance);
  Device d = DEVICE(instance);
  info->device = &gpus[d.gpu];
  info->id = (unsigned)number(d, "gi", 0);
  info->profileId = (unsigned)number(d, "profile", 0);
  info->placement.start = (unsigned)number(d, "start", 0);
  info->placement.size = (unsigned)number(d, "size", 1);
  return SUCCESS;
}

Return nvmlDeviceGetGpuInstanceProfileInfoV(void *device, unsigned profile, ProfileInfoV2 *info) {
  CHECK(device);
  char name[32];
  snprintf(name, sizeof name, "profile%u", profile);
  const char *found = text(DEVICE(device), name);
  if (!found) return NOT_SUPPORTED;
  info->id = (unsigned)strtoul(found, NULL, 10);
  copy(info->name, strchr(found, ':') + 1, sizeof info->name);
  return SUCCESS;
}

Return nvmlDeviceGetAttributes_v2(void *instance, Attributes *attributes) {
  CHECK(instance);
  memset(attributes, 0, sizeof *attributes);
  attributes->gpuInstanceSliceCount = (unsigned)number(DEVICE(instance), "slices", 1);
  attributes->memorySizeMB = (unsigned long long)number(DEVICE(instance), "memory", 0);
  return SUCCESS;
}

/* --- GPM: a sample is a copy of the counters and the moment; the mean in between comes from two of them */

typedef struct { int filled; Device of; double at, totals[MAX_METRICS]; } GpmSample;

Return nvmlGpmQueryDeviceSupport(void *device, GpmSupport *support) {
  CHECK(device);
  if (support->version != 1) return 25;
  support->isSupportedDevice = number(DEVICE(device), "gpm", 0) > 0;
  return SUCCESS;
}

Return nvmlGpmSampleAlloc(void **sample) { return (*sample = calloc(1, sizeof(GpmSample))) ? SUCCESS : 20; }
Return nvmlGpmSampleFree(void *sample) { free(sample); return SUCCESS; }

static Return take(Device d, GpmSample *sample) {
  run_counters();
  sample->filled = 1;
  sample->of = d;
  sample->at = totals_at;
  memcpy(sample->totals, totals[d.gpu][d.slot + 1], sizeof sample->totals);
  return SUCCESS;
}

Return nvmlGpmSampleGet(void *device, void *sample) {
  CHECK(device);
  return number(DEVICE(device), "gpm", 0) > 0 ? take(DEVICE(device), sample) : NOT_SUPPORTED;
}

Return nvmlGpmMigSampleGet(void *device, unsigned id, void *sample) {
  CHECK(device);
  Device *instance = instance_of(DEVICE(device).gpu, id);
  if (number(DEVICE(device), "gpm", 0) <= 0) return NOT_SUPPORTED;
  return instance ? take(*instance, sample) : NOT_FOUND;
}

Return nvmlGpmMetricsGet(GpmMetricsGet *question) {
  look();
  const GpmSample *before = question->sample1, *after = question->sample2;
  if (question->version != 1 || !before->filled || !after->filled || after->at <= before->at) return INVALID_ARGUMENT;
  for (unsigned i = 0; i < question->numMetrics; i++) {
    GpmMetric *metric = &question->metrics[i];
    char name[32];
    snprintf(name, sizeof name, "gpm.%u", metric->metricId);
    metric->nvmlReturn = NOT_SUPPORTED;
    if (!text(after->of, name)) continue;
    for (int m = 0; m < MAX_METRICS && metric_ids[m]; m++)
      if (metric_ids[m] == metric->metricId) {
        metric->value = (after->totals[m] - before->totals[m]) / (after->at - before->at);
        metric->nvmlReturn = SUCCESS;
      }
  }
  return SUCCESS;
}

/* --- events: the XID that a file names happens once, when the file is first seen */

Return nvmlEventSetCreate(void **set) { return (*set = malloc(1)) ? SUCCESS : 20; }
Return nvmlEventSetFree(void *set) { free(set); return SUCCESS; }

Return nvmlDeviceRegisterEvents(void *device, unsigned long long types, void *set) {
  (void)types, (void)set;
  CHECK(device);
  return SUCCESS;
}

Return nvmlEventSetWait_v2(void *set, EventData *event, unsigned timeout) {
  (void)set, (void)timeout;
  look();
  for (int gpu = 0; gpu < gpu_count(); gpu++) {
    const char *xid = text(gpus[gpu], "xid");
    if (!xid || xid_told[gpu]) continue;
    xid_told[gpu] = 1;
    *event = (EventData){&gpus[gpu], 8, strtoull(xid, NULL, 10), 0, 0};
    return SUCCESS;
  }
  return TIMEOUT;
}
