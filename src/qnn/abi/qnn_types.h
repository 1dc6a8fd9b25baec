// Our own declarations of the part of the QNN C interface that this project uses: plain C data,
// LP64, core API 2.3x.
//
// A library is a table of function pointers returned by the two exported provider functions. Names
// follow the interface so that its documentation applies; layouts and values are facts of the
// binary interface, pinned below by static_asserts. With QHX_QNN_SDK set, the build also compares
// them with the vendor's headers.
#pragma once

#include <cstdarg>
#include <cstddef>
#include <cstdint>

extern "C" {

using Qnn_ErrorHandle_t = std::uint64_t;
using Qnn_ContextBinarySize_t = std::uint64_t;

using Qnn_BackendHandle_t = void*;
using Qnn_ContextHandle_t = void*;
using Qnn_GraphHandle_t = void*;
using Qnn_DeviceHandle_t = void*;
using Qnn_LogHandle_t = void*;
using Qnn_ProfileHandle_t = void*;
using Qnn_SignalHandle_t = void*;
using Qnn_MemHandle_t = void*;
using QnnSystemContext_Handle_t = void*;

// ----------------------------------------------------------------------------------------------
// errors

inline constexpr Qnn_ErrorHandle_t QNN_SUCCESS = 0;
// Codes of the interface that our own library returns and that callers tell apart.
inline constexpr Qnn_ErrorHandle_t QNN_COMMON_ERROR_NOT_SUPPORTED = 1000;
inline constexpr Qnn_ErrorHandle_t QNN_COMMON_ERROR_MEM_ALLOC = 1002;
inline constexpr Qnn_ErrorHandle_t QNN_COMMON_ERROR_INVALID_ARGUMENT = 1004;
inline constexpr Qnn_ErrorHandle_t QNN_COMMON_ERROR_OPERATION_NOT_PERMITTED = 1005;
inline constexpr Qnn_ErrorHandle_t QNN_OP_PACKAGE_ERROR_VALIDATION_FAILURE = 3110;
inline constexpr Qnn_ErrorHandle_t QNN_BACKEND_ERROR_CANNOT_INITIALIZE = 4000;
inline constexpr Qnn_ErrorHandle_t QNN_GRAPH_ERROR_INVALID_ARGUMENT = 6000;
inline constexpr Qnn_ErrorHandle_t QNN_GRAPH_ERROR_INVALID_HANDLE = 6001;
inline constexpr Qnn_ErrorHandle_t QNN_GRAPH_ERROR_INVALID_NAME = 6003;
inline constexpr Qnn_ErrorHandle_t QNN_GRAPH_ERROR_UNCONNECTED_NODE = 6007;
inline constexpr Qnn_ErrorHandle_t QNN_GRAPH_ERROR_NOT_FINALIZED = 6023;
inline constexpr Qnn_ErrorHandle_t QNN_TENSOR_ERROR_INVALID_TENSOR = 7004;
inline constexpr Qnn_ErrorHandle_t QNN_DEVICE_ERROR_INVALID_CONFIG = 14001;
inline constexpr Qnn_ErrorHandle_t QNN_CONTEXT_ERROR_BINARY_INVALID = 30001;
inline constexpr Qnn_ErrorHandle_t QNN_CONTEXT_ERROR_BINARY_TRUNCATED = 30010;

// ----------------------------------------------------------------------------------------------
// values

enum Qnn_DataType_t : std::uint32_t {
  QNN_DATATYPE_INT_8 = 0x008,
  QNN_DATATYPE_INT_16 = 0x016,
  QNN_DATATYPE_INT_32 = 0x032,
  QNN_DATATYPE_INT_64 = 0x064,
  QNN_DATATYPE_UINT_8 = 0x108,
  QNN_DATATYPE_UINT_16 = 0x116,
  QNN_DATATYPE_UINT_32 = 0x132,
  QNN_DATATYPE_UINT_64 = 0x164,
  QNN_DATATYPE_FLOAT_16 = 0x216,
  QNN_DATATYPE_BFLOAT_16 = 0x226,
  QNN_DATATYPE_FLOAT_32 = 0x232,
  QNN_DATATYPE_FLOAT_64 = 0x264,
  QNN_DATATYPE_SFIXED_POINT_4 = 0x304,
  QNN_DATATYPE_SFIXED_POINT_8 = 0x308,
  QNN_DATATYPE_SFIXED_POINT_16 = 0x316,
  QNN_DATATYPE_SFIXED_POINT_32 = 0x332,
  QNN_DATATYPE_UFIXED_POINT_4 = 0x404,
  QNN_DATATYPE_UFIXED_POINT_8 = 0x408,
  QNN_DATATYPE_UFIXED_POINT_16 = 0x416,
  QNN_DATATYPE_UFIXED_POINT_32 = 0x432,
  QNN_DATATYPE_BOOL_8 = 0x508,
  QNN_DATATYPE_STRING = 0x608,
  QNN_DATATYPE_UNDEFINED = 0x7FFFFFFF,
};

enum Qnn_TensorType_t : std::uint32_t {
  QNN_TENSOR_TYPE_APP_WRITE = 0,
  QNN_TENSOR_TYPE_APP_READ = 1,
  QNN_TENSOR_TYPE_APP_READWRITE = 2,
  QNN_TENSOR_TYPE_NATIVE = 3,
  QNN_TENSOR_TYPE_STATIC = 4,
  QNN_TENSOR_TYPE_NULL = 5,
};

enum Qnn_Definition_t : std::uint32_t {
  QNN_DEFINITION_IMPL_GENERATED = 0,
  QNN_DEFINITION_DEFINED = 1,
  QNN_DEFINITION_UNDEFINED = 0x7FFFFFFF,
};

enum Qnn_QuantizationEncoding_t : std::uint32_t {
  QNN_QUANTIZATION_ENCODING_SCALE_OFFSET = 0,
  QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET = 1,
  QNN_QUANTIZATION_ENCODING_BW_SCALE_OFFSET = 2,
  QNN_QUANTIZATION_ENCODING_BW_AXIS_SCALE_OFFSET = 3,
  QNN_QUANTIZATION_ENCODING_BLOCK = 4,
  QNN_QUANTIZATION_ENCODING_BLOCKWISE_EXPANSION = 5,
  QNN_QUANTIZATION_ENCODING_UNDEFINED = 0x7FFFFFFF,
};

enum Qnn_TensorMemType_t : std::uint32_t {
  QNN_TENSORMEMTYPE_RAW = 0,
  QNN_TENSORMEMTYPE_MEMHANDLE = 1,
  QNN_TENSORMEMTYPE_RETRIEVE_RAW = 2,
};

enum Qnn_TensorVersion_t : std::uint32_t { QNN_TENSOR_VERSION_1 = 1, QNN_TENSOR_VERSION_2 = 2 };
enum Qnn_OpConfigVersion_t : std::uint32_t { QNN_OPCONFIG_VERSION_1 = 1 };
enum Qnn_ParamType_t : std::uint32_t { QNN_PARAMTYPE_SCALAR = 0, QNN_PARAMTYPE_TENSOR = 1 };

inline constexpr std::uint32_t QNN_TENSOR_DATA_FORMAT_DENSE = 0;

enum QnnLog_Level_t : std::uint32_t {
  QNN_LOG_LEVEL_ERROR = 1,
  QNN_LOG_LEVEL_WARN = 2,
  QNN_LOG_LEVEL_INFO = 3,
  QNN_LOG_LEVEL_VERBOSE = 4,
  QNN_LOG_LEVEL_DEBUG = 5,
};
using QnnLog_Callback_t = void (*)(const char* format, QnnLog_Level_t level,
                                   std::uint64_t timestamp, std::va_list arguments);

// ----------------------------------------------------------------------------------------------
// tensors, ops

struct Qnn_Version_t {
  std::uint32_t major, minor, patch;
};
struct Qnn_ApiVersion_t {
  Qnn_Version_t coreApiVersion;
  Qnn_Version_t backendApiVersion;
};

struct Qnn_ClientBuffer_t {
  void* data;
  std::uint32_t dataSize;  // bytes
};

struct Qnn_ScaleOffset_t {
  float scale;
  std::int32_t offset;
};
struct Qnn_AxisScaleOffset_t {
  std::int32_t axis;
  std::uint32_t numScaleOffsets;
  Qnn_ScaleOffset_t* scaleOffset;
};
struct Qnn_BwScaleOffset_t {
  std::uint32_t bitwidth;
  float scale;
  std::int32_t offset;
};
struct Qnn_BwAxisScaleOffset_t {
  std::uint32_t bitwidth;
  std::int32_t axis;
  std::uint32_t numElements;
  float* scales;
  std::int32_t* offsets;  // null: all zero
};
struct Qnn_BlockEncoding_t {
  std::uint32_t* blockSize;  // one entry a dimension
  Qnn_ScaleOffset_t* scaleOffset;
};
struct Qnn_QuantizeParams_t {
  Qnn_Definition_t encodingDefinition;
  Qnn_QuantizationEncoding_t quantizationEncoding;
  union {
    Qnn_ScaleOffset_t scaleOffsetEncoding;
    Qnn_AxisScaleOffset_t axisScaleOffsetEncoding;
    Qnn_BwScaleOffset_t bwScaleOffsetEncoding;
    Qnn_BwAxisScaleOffset_t bwAxisScaleOffsetEncoding;
    Qnn_BlockEncoding_t blockEncoding;
  };
};

struct Qnn_TensorV1_t {
  std::uint32_t id;
  const char* name;
  Qnn_TensorType_t type;
  std::uint32_t dataFormat;
  Qnn_DataType_t dataType;
  Qnn_QuantizeParams_t quantizeParams;
  std::uint32_t rank;
  std::uint32_t* dimensions;
  Qnn_TensorMemType_t memType;
  union {
    Qnn_ClientBuffer_t clientBuf;
    Qnn_MemHandle_t memHandle;
  };
};
struct Qnn_SparseParams_t {
  std::uint32_t type;
  std::uint32_t hybridCoo[2];
};
struct Qnn_TensorV2_t {
  std::uint32_t id;
  const char* name;
  Qnn_TensorType_t type;
  std::uint32_t dataFormat;
  Qnn_DataType_t dataType;
  Qnn_QuantizeParams_t quantizeParams;
  std::uint32_t rank;
  std::uint32_t* dimensions;
  Qnn_TensorMemType_t memType;
  union {
    Qnn_ClientBuffer_t clientBuf;
    Qnn_MemHandle_t memHandle;
    void* retrieveRaw;
  };
  std::uint8_t* isDynamicDimensions;
  Qnn_SparseParams_t sparseParams;
  std::uint8_t isProduced;
};
struct Qnn_Tensor_t {
  Qnn_TensorVersion_t version;
  union {
    Qnn_TensorV1_t v1;
    Qnn_TensorV2_t v2;  // starts like v1: the fields of v1 may be read through it
  };
};

struct Qnn_Scalar_t {
  Qnn_DataType_t dataType;
  union {
    float floatValue;
    double doubleValue;
    std::uint64_t uint64Value;
    std::int64_t int64Value;
    std::uint32_t uint32Value;
    std::int32_t int32Value;
    std::uint8_t bool8Value;
    const char* stringValue;
  };
};
struct Qnn_Param_t {
  Qnn_ParamType_t paramType;
  const char* name;
  union {
    Qnn_Scalar_t scalarParam;
    Qnn_Tensor_t tensorParam;
  };
};
struct Qnn_OpConfigV1_t {
  const char* name;
  const char* packageName;
  const char* typeName;
  std::uint32_t numOfParams;
  Qnn_Param_t* params;
  std::uint32_t numOfInputs;
  Qnn_Tensor_t* inputTensors;
  std::uint32_t numOfOutputs;
  Qnn_Tensor_t* outputTensors;
};
struct Qnn_OpConfig_t {
  Qnn_OpConfigVersion_t version;
  Qnn_OpConfigV1_t v1;
};

// ----------------------------------------------------------------------------------------------
// memory

enum Qnn_MemType_t : std::uint32_t {
  QNN_MEM_TYPE_ION = 1,
  QNN_MEM_TYPE_CUSTOM = 2,
  QNN_MEM_TYPE_DMA_BUF = 3
};
struct Qnn_MemShape_t {
  std::uint32_t numDim;
  std::uint32_t* dimSize;
  const char* shapeConfig;
};
struct Qnn_MemDescriptor_t {
  Qnn_MemShape_t memShape;
  Qnn_DataType_t dataType;
  Qnn_MemType_t memType;
  union {
    struct {
      std::int32_t fd;
    } ionInfo;
    void* customInfo;
    struct {
      std::int32_t fd;
      void* data;
    } dmaBufInfo;
  };
};

// ----------------------------------------------------------------------------------------------
// configs In an array of configs the elements are pointers and the last one is null.

enum QnnContext_ConfigOption_t : std::uint32_t {
  QNN_CONTEXT_CONFIG_OPTION_CUSTOM = 0,
  QNN_CONTEXT_CONFIG_PERSISTENT_BINARY = 7,
};
struct QnnContext_Config_t {
  QnnContext_ConfigOption_t option;
  union {
    void* customConfig;
    std::uint8_t isPersistentBinary;
  };
};

enum QnnGraph_ConfigOption_t : std::uint32_t { QNN_GRAPH_CONFIG_OPTION_CUSTOM = 0 };
struct QnnGraph_Config_t {
  QnnGraph_ConfigOption_t option;
  union {
    void* customConfig;
    std::uint64_t reserved;
  };
};

enum QnnDevice_ConfigOption_t : std::uint32_t { QNN_DEVICE_CONFIG_OPTION_CUSTOM = 0 };
struct QnnDevice_Config_t {
  QnnDevice_ConfigOption_t option;
  union {
    void* customConfig;
    void* hardwareInfo;
  };
};

enum QnnBackend_ConfigOption_t : std::uint32_t {
  QNN_BACKEND_CONFIG_OPTION_CUSTOM = 0,
  QNN_BACKEND_CONFIG_OPTION_PLATFORM = 2,
};
struct QnnBackend_Config_t {
  QnnBackend_ConfigOption_t option;
  union {
    void* customConfig;
    const char* platformOption;  // "key:value"
  };
};

// What a library says of the devices it drives. The extension is the backend's own: for HTP a
// QnnHtpDevice_DeviceInfoExtension_t.
struct QnnDevice_HardwareDeviceInfoV1_t {
  std::uint32_t deviceId;
  std::uint32_t deviceType;
  std::uint32_t numCores;
  void* cores;
  void* deviceInfoExtension;
};
struct QnnDevice_HardwareDeviceInfo_t {
  std::uint32_t version;  // 1
  QnnDevice_HardwareDeviceInfoV1_t v1;
};
struct QnnDevice_PlatformInfoV1_t {
  std::uint32_t numHwDevices;
  QnnDevice_HardwareDeviceInfo_t* hwDevices;
};
struct QnnDevice_PlatformInfo_t {
  std::uint32_t version;  // 1
  QnnDevice_PlatformInfoV1_t v1;
};

struct QnnBackend_OperationName_t {
  const char* packageName;
  const char* name;
  const char* target;
};

struct QnnProfile_EventData_t {
  std::uint32_t type;
  std::uint32_t unit;
  std::uint64_t value;
  const char* identifier;
};

// ----------------------------------------------------------------------------------------------
// core table

// Slots that this project never calls are kept as plain pointers: their place is part of the
// layout.
using Qnn_UnusedSlot_t = void (*)();

struct QnnInterface_ImplementationV2_t {
  Qnn_ErrorHandle_t (*propertyHasCapability)(std::uint32_t key);
  Qnn_ErrorHandle_t (*backendCreate)(Qnn_LogHandle_t, const QnnBackend_Config_t**,
                                     Qnn_BackendHandle_t*);
  Qnn_UnusedSlot_t backendSetConfig;
  Qnn_ErrorHandle_t (*backendGetApiVersion)(Qnn_ApiVersion_t*);
  Qnn_ErrorHandle_t (*backendGetBuildId)(const char**);
  Qnn_UnusedSlot_t backendRegisterOpPackage;
  Qnn_ErrorHandle_t (*backendGetSupportedOperations)(Qnn_BackendHandle_t, std::uint32_t*,
                                                     const QnnBackend_OperationName_t**);
  Qnn_ErrorHandle_t (*backendValidateOpConfig)(Qnn_BackendHandle_t, Qnn_OpConfig_t);
  Qnn_ErrorHandle_t (*backendFree)(Qnn_BackendHandle_t);
  Qnn_ErrorHandle_t (*contextCreate)(Qnn_BackendHandle_t, Qnn_DeviceHandle_t,
                                     const QnnContext_Config_t**, Qnn_ContextHandle_t*);
  Qnn_UnusedSlot_t contextSetConfig;
  Qnn_ErrorHandle_t (*contextGetBinarySize)(Qnn_ContextHandle_t, Qnn_ContextBinarySize_t*);
  Qnn_ErrorHandle_t (*contextGetBinary)(Qnn_ContextHandle_t, void* buffer,
                                        Qnn_ContextBinarySize_t capacity,
                                        Qnn_ContextBinarySize_t* written);
  Qnn_ErrorHandle_t (*contextCreateFromBinary)(Qnn_BackendHandle_t, Qnn_DeviceHandle_t,
                                               const QnnContext_Config_t**, const void* binary,
                                               Qnn_ContextBinarySize_t, Qnn_ContextHandle_t*,
                                               Qnn_ProfileHandle_t);
  Qnn_ErrorHandle_t (*contextFree)(Qnn_ContextHandle_t, Qnn_ProfileHandle_t);
  Qnn_ErrorHandle_t (*graphCreate)(Qnn_ContextHandle_t, const char* name, const QnnGraph_Config_t**,
                                   Qnn_GraphHandle_t*);
  Qnn_UnusedSlot_t graphCreateSubgraph;
  Qnn_UnusedSlot_t graphSetConfig;
  Qnn_ErrorHandle_t (*graphAddNode)(Qnn_GraphHandle_t, Qnn_OpConfig_t);
  Qnn_ErrorHandle_t (*graphFinalize)(Qnn_GraphHandle_t, Qnn_ProfileHandle_t, Qnn_SignalHandle_t);
  Qnn_ErrorHandle_t (*graphRetrieve)(Qnn_ContextHandle_t, const char* name, Qnn_GraphHandle_t*);
  Qnn_ErrorHandle_t (*graphExecute)(Qnn_GraphHandle_t, const Qnn_Tensor_t* inputs,
                                    std::uint32_t numInputs, Qnn_Tensor_t* outputs,
                                    std::uint32_t numOutputs, Qnn_ProfileHandle_t,
                                    Qnn_SignalHandle_t);
  Qnn_UnusedSlot_t graphExecuteAsync;
  Qnn_ErrorHandle_t (*tensorCreateContextTensor)(Qnn_ContextHandle_t, Qnn_Tensor_t*);
  Qnn_ErrorHandle_t (*tensorCreateGraphTensor)(Qnn_GraphHandle_t, Qnn_Tensor_t*);
  Qnn_ErrorHandle_t (*logCreate)(QnnLog_Callback_t, QnnLog_Level_t, Qnn_LogHandle_t*);
  Qnn_ErrorHandle_t (*logSetLogLevel)(Qnn_LogHandle_t, QnnLog_Level_t);
  Qnn_ErrorHandle_t (*logFree)(Qnn_LogHandle_t);
  Qnn_ErrorHandle_t (*profileCreate)(Qnn_BackendHandle_t, std::uint32_t level,
                                     Qnn_ProfileHandle_t*);
  Qnn_UnusedSlot_t profileSetConfig;
  Qnn_ErrorHandle_t (*profileGetEvents)(Qnn_ProfileHandle_t, const std::uint64_t**, std::uint32_t*);
  Qnn_ErrorHandle_t (*profileGetSubEvents)(std::uint64_t event, const std::uint64_t**,
                                           std::uint32_t*);
  Qnn_ErrorHandle_t (*profileGetEventData)(std::uint64_t event, QnnProfile_EventData_t*);
  Qnn_UnusedSlot_t profileGetExtendedEventData;
  Qnn_ErrorHandle_t (*profileFree)(Qnn_ProfileHandle_t);
  Qnn_ErrorHandle_t (*memRegister)(Qnn_ContextHandle_t, const Qnn_MemDescriptor_t*, std::uint32_t,
                                   Qnn_MemHandle_t*);
  Qnn_ErrorHandle_t (*memDeRegister)(const Qnn_MemHandle_t*, std::uint32_t);
  Qnn_ErrorHandle_t (*deviceGetPlatformInfo)(Qnn_LogHandle_t, const QnnDevice_PlatformInfo_t**);
  Qnn_ErrorHandle_t (*deviceFreePlatformInfo)(Qnn_LogHandle_t, const QnnDevice_PlatformInfo_t*);
  Qnn_ErrorHandle_t (*deviceGetInfrastructure)(const void** infrastructure);
  Qnn_ErrorHandle_t (*deviceCreate)(Qnn_LogHandle_t, const QnnDevice_Config_t**,
                                    Qnn_DeviceHandle_t*);
  Qnn_UnusedSlot_t deviceSetConfig;
  Qnn_UnusedSlot_t deviceGetInfo;
  Qnn_ErrorHandle_t (*deviceFree)(Qnn_DeviceHandle_t);
  Qnn_UnusedSlot_t signals[4];
  Qnn_ErrorHandle_t (*errorGetMessage)(Qnn_ErrorHandle_t, const char**);
  Qnn_UnusedSlot_t errorGetVerboseMessage;
  Qnn_UnusedSlot_t errorFreeVerboseMessage;
  Qnn_UnusedSlot_t later[20];  // slots 51 to 70
};

struct QnnInterface_t {
  std::uint32_t backendId;
  const char* providerName;
  Qnn_ApiVersion_t apiVersion;
  QnnInterface_ImplementationV2_t v2;
};

// Fills `providers` with a library-owned array that lives as long as the library is open.
using QnnInterface_GetProvidersFn_t = Qnn_ErrorHandle_t (*)(const QnnInterface_t*** providers,
                                                            std::uint32_t* count);

// ----------------------------------------------------------------------------------------------
// system table

struct QnnSystemContext_GraphInfoV1_t {
  const char* graphName;
  std::uint32_t numGraphInputs;
  Qnn_Tensor_t* graphInputs;
  std::uint32_t numGraphOutputs;
  Qnn_Tensor_t* graphOutputs;
};
struct QnnSystemContext_GraphInfoV3_t {
  const char* graphName;
  std::uint32_t numGraphInputs;
  Qnn_Tensor_t* graphInputs;
  std::uint32_t numGraphOutputs;
  Qnn_Tensor_t* graphOutputs;
  std::uint32_t numUpdateableTensors;
  Qnn_Tensor_t* updateableTensors;
  std::uint32_t graphBlobInfoSize;
  void* graphBlobInfo;
  std::uint32_t startOpIndex;
  std::uint32_t endOpIndex;
};
enum QnnSystemContext_GraphInfoVersion_t : std::uint32_t {
  QNN_SYSTEM_CONTEXT_GRAPH_INFO_VERSION_1 = 1,
  QNN_SYSTEM_CONTEXT_GRAPH_INFO_VERSION_2 = 2,
  QNN_SYSTEM_CONTEXT_GRAPH_INFO_VERSION_3 = 3,
};
struct QnnSystemContext_GraphInfo_t {
  QnnSystemContext_GraphInfoVersion_t version;
  union {
    QnnSystemContext_GraphInfoV1_t graphInfoV1;  // a prefix of the later versions
    QnnSystemContext_GraphInfoV3_t graphInfoV3;
  };
};

struct QnnSystemContext_BinaryInfoV1_t {
  std::uint32_t backendId;
  const char* buildId;
  Qnn_Version_t coreApiVersion;
  Qnn_Version_t backendApiVersion;
  const char* socVersion;
  Qnn_Version_t hwInfoBlobVersion;
  Qnn_Version_t contextBlobVersion;
  std::uint32_t hwInfoBlobSize;
  void* hwInfoBlob;
  std::uint64_t contextBlobSize;
  std::uint32_t numContextTensors;
  Qnn_Tensor_t* contextTensors;
  std::uint32_t numGraphs;
  QnnSystemContext_GraphInfo_t* graphs;
};
struct QnnSystemContext_BinaryInfoV3_t {
  std::uint32_t backendId;
  const char* buildId;
  Qnn_Version_t coreApiVersion;
  Qnn_Version_t backendApiVersion;
  const char* socVersion;
  Qnn_Version_t contextBlobVersion;
  std::uint64_t contextBlobSize;
  std::uint32_t numContextTensors;
  Qnn_Tensor_t* contextTensors;
  std::uint32_t numGraphs;
  QnnSystemContext_GraphInfo_t* graphs;
  void* platformInfo;
  std::uint32_t contextMetadataSize;
  void* contextMetadata;  // HTP: {u32 version = 1, u32 dspArch}
  std::uint32_t socModel;
};
enum QnnSystemContext_BinaryInfoVersion_t : std::uint32_t {
  QNN_SYSTEM_CONTEXT_BINARY_INFO_VERSION_1 = 1,
  QNN_SYSTEM_CONTEXT_BINARY_INFO_VERSION_2 = 2,
  QNN_SYSTEM_CONTEXT_BINARY_INFO_VERSION_3 = 3,
};
struct QnnSystemContext_BinaryInfo_t {
  QnnSystemContext_BinaryInfoVersion_t version;
  union {
    QnnSystemContext_BinaryInfoV1_t contextBinaryInfoV1;  // a prefix of version 2
    QnnSystemContext_BinaryInfoV3_t contextBinaryInfoV3;
  };
};

struct QnnSystemInterface_ImplementationV1_t {
  Qnn_ErrorHandle_t (*systemContextCreate)(QnnSystemContext_Handle_t*);
  Qnn_ErrorHandle_t (*systemContextGetBinaryInfo)(QnnSystemContext_Handle_t, void* binary,
                                                  std::uint64_t size,
                                                  const QnnSystemContext_BinaryInfo_t**,
                                                  Qnn_ContextBinarySize_t*);
  Qnn_ErrorHandle_t (*systemContextGetMetaData)(QnnSystemContext_Handle_t, const void* binary,
                                                std::uint64_t size,
                                                const QnnSystemContext_BinaryInfo_t**);
  Qnn_ErrorHandle_t (*systemContextFree)(QnnSystemContext_Handle_t);
  Qnn_ErrorHandle_t (*systemTensorGetMemoryFootprint)(Qnn_Tensor_t, std::uint64_t*);
  Qnn_ErrorHandle_t (*systemLogCreate)(QnnLog_Callback_t, QnnLog_Level_t, Qnn_LogHandle_t*);
  Qnn_ErrorHandle_t (*systemLogSetLogLevel)(Qnn_LogHandle_t, QnnLog_Level_t);
  Qnn_ErrorHandle_t (*systemLogFree)(Qnn_LogHandle_t);
  Qnn_UnusedSlot_t later[8];  // slots 8 to 15
};

struct QnnSystemInterface_t {
  std::uint32_t backendId;
  const char* providerName;
  Qnn_Version_t systemApiVersion;
  QnnSystemInterface_ImplementationV1_t v1;
};

using QnnSystemInterface_GetProvidersFn_t =
    Qnn_ErrorHandle_t (*)(const QnnSystemInterface_t*** providers, std::uint32_t* count);

// ----------------------------------------------------------------------------------------------
// HTP extensions

// Device custom config of core API 2.40: the value starts at offset 8 (older headers: offset 4).
enum QnnHtpDevice_ConfigOption_t : std::uint32_t { QNN_HTP_DEVICE_CONFIG_OPTION_SOC = 0 };
struct QnnHtpDevice_CustomConfig_t {
  QnnHtpDevice_ConfigOption_t option;
  std::uint32_t padding;
  std::uint32_t socModel;
  std::uint32_t unused;
};

enum QnnHtpGraph_ConfigOption_t : std::uint32_t {
  QNN_HTP_GRAPH_CONFIG_OPTION_OPTIMIZATION = 1,
  QNN_HTP_GRAPH_CONFIG_OPTION_PRECISION = 2,
  QNN_HTP_GRAPH_CONFIG_OPTION_VTCM_SIZE_IN_MB = 3,
  QNN_HTP_GRAPH_CONFIG_OPTION_NUM_HVX_THREADS = 6,
  QNN_HTP_GRAPH_CONFIG_OPTION_FINALIZE_CONFIG = 7,
};
enum QnnHtpGraph_OptimizationType_t : std::uint32_t {
  QNN_HTP_GRAPH_OPTIMIZATION_TYPE_FINALIZE_OPTIMIZATION_FLAG = 3,
  QNN_HTP_GRAPH_OPTIMIZATION_TYPE_ENABLE_DLBC = 4,
};
struct QnnHtpGraph_OptimizationOption_t {
  QnnHtpGraph_OptimizationType_t type;
  float floatValue;
};
struct QnnHtpGraph_FinalizeConfig_t {
  const char* key;
  Qnn_Scalar_t value;
};
struct QnnHtpGraph_CustomConfig_t {
  QnnHtpGraph_ConfigOption_t option;
  union {
    QnnHtpGraph_OptimizationOption_t optimizationOption;
    std::uint32_t precision;
    std::uint32_t vtcmSizeInMB;
    std::uint64_t numHvxThreads;
    QnnHtpGraph_FinalizeConfig_t finalizeConfig;
    std::uint64_t reserved[6];
  };
};

enum QnnHtpContext_ConfigOption_t : std::uint32_t {
  QNN_HTP_CONTEXT_CONFIG_OPTION_WEIGHT_SHARING_ENABLED = 1
};
struct QnnHtpContext_CustomConfig_t {
  QnnHtpContext_ConfigOption_t option;
  union {
    bool weightSharingEnabled;
    std::uint64_t reserved[2];
  };
};

// A chip's device: the extension of QnnDevice_HardwareDeviceInfo_t.
struct QnnHtpDevice_DeviceInfoExtension_t {
  std::uint32_t devType;  // 0: on the chip
  std::uint64_t vtcmSizeInMB;
  std::uint32_t socModel;
  std::uint8_t signedPdSupport;
  std::uint8_t dlbcSupport;
  std::uint32_t arch;  // 75, 79, 81 …
};

// What deviceGetInfrastructure gives for HTP: votes for the clocks of the chip.
enum QnnHtpDevice_InfrastructureType_t : std::uint32_t {
  QNN_HTP_DEVICE_INFRASTRUCTURE_TYPE_PERF = 0
};
enum QnnHtpPerfInfrastructure_PowerConfigOption_t : std::uint32_t {
  QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_DCVS_V3 = 1
};
enum QnnHtpPerfInfrastructure_PowerMode_t : std::uint32_t {
  QNN_HTP_PERF_INFRASTRUCTURE_POWERMODE_POWER_SAVER_MODE = 4,
  QNN_HTP_PERF_INFRASTRUCTURE_POWERMODE_PERFORMANCE_MODE = 16,
};
enum QnnHtpPerfInfrastructure_VoltageCorner_t : std::uint32_t {
  DCVS_VOLTAGE_CORNER_DISABLE = 16,
  DCVS_VOLTAGE_VCORNER_MAX_VOLTAGE_CORNER = 160,
};
struct QnnHtpPerfInfrastructure_DcvsV3_t {
  std::uint32_t contextId;  // from createPowerConfigId
  std::uint32_t setDcvsEnable;
  std::uint32_t dcvsEnable;
  QnnHtpPerfInfrastructure_PowerMode_t powerMode;
  std::uint32_t setSleepLatency;
  std::uint32_t sleepLatency;  // microseconds
  std::uint32_t setSleepDisable;
  std::uint32_t sleepDisable;
  std::uint32_t setBusParams;
  QnnHtpPerfInfrastructure_VoltageCorner_t busVoltageCornerMin;
  QnnHtpPerfInfrastructure_VoltageCorner_t busVoltageCornerTarget;
  QnnHtpPerfInfrastructure_VoltageCorner_t busVoltageCornerMax;
  std::uint32_t setCoreParams;
  QnnHtpPerfInfrastructure_VoltageCorner_t coreVoltageCornerMin;
  QnnHtpPerfInfrastructure_VoltageCorner_t coreVoltageCornerTarget;
  QnnHtpPerfInfrastructure_VoltageCorner_t coreVoltageCornerMax;
};
struct QnnHtpPerfInfrastructure_PowerConfig_t {
  QnnHtpPerfInfrastructure_PowerConfigOption_t option;
  QnnHtpPerfInfrastructure_DcvsV3_t dcvsV3Config;
};
struct QnnHtpDevice_PerfInfrastructure_t {
  Qnn_ErrorHandle_t (*createPowerConfigId)(std::uint32_t device, std::uint32_t core,
                                           std::uint32_t* id);
  Qnn_ErrorHandle_t (*destroyPowerConfigId)(std::uint32_t id);
  Qnn_ErrorHandle_t (*setPowerConfig)(std::uint32_t id,
                                      const QnnHtpPerfInfrastructure_PowerConfig_t** configs);
  Qnn_UnusedSlot_t setMemoryConfig;
};
struct QnnHtpDevice_Infrastructure_t {
  QnnHtpDevice_InfrastructureType_t infraType;
  QnnHtpDevice_PerfInfrastructure_t perfInfra;
};

// The beginnings of what HTP binaries record about themselves: contextMetadata and graphBlobInfo.
struct QnnHtpSystemContext_ContextMetadataV1_t {
  std::uint32_t version;  // 1
  std::uint32_t dspArch;
};
struct QnnHtpSystemContext_GraphBlobInfoV1_t {
  std::uint32_t version;  // 1
  std::uint64_t spillFillBufferSize;
  std::uint32_t vtcmSize;  // bytes
  std::uint32_t optimizationLevel;
  std::uint8_t htpDlbc;
  std::uint64_t numHvxThreadsReserved;
};
// What library 2.51 records behind it. These two were told by comparing binaries with and without
// weight sharing: the size of the graph's weights stands in one or the other.
struct QhxHtp_GraphBlobInfo2_51_t {
  QnnHtpSystemContext_GraphBlobInfoV1_t v1;
  std::uint64_t untold[6];
  std::uint64_t ownWeightsSize;
  std::uint64_t untold2;
  std::uint64_t sharedWeightsSize;
};

}  // extern "C"

// ----------------------------------------------------------------------------------------------
// layout

static_assert(sizeof(void*) == 8, "the layouts below are LP64");
static_assert(sizeof(Qnn_ApiVersion_t) == 24);
static_assert(sizeof(Qnn_BwAxisScaleOffset_t) == 32 &&
              offsetof(Qnn_BwAxisScaleOffset_t, scales) == 16);
static_assert(sizeof(Qnn_QuantizeParams_t) == 40 &&
              offsetof(Qnn_QuantizeParams_t, axisScaleOffsetEncoding) == 8);
static_assert(sizeof(Qnn_TensorV1_t) == 112 && offsetof(Qnn_TensorV1_t, quantizeParams) == 32);
static_assert(offsetof(Qnn_TensorV1_t, dimensions) == 80 &&
              offsetof(Qnn_TensorV1_t, clientBuf) == 96);
static_assert(sizeof(Qnn_TensorV2_t) == 136 &&
              offsetof(Qnn_TensorV2_t, isDynamicDimensions) == 112);
static_assert(offsetof(Qnn_TensorV2_t, isProduced) == 132);
static_assert(sizeof(Qnn_Tensor_t) == 144 && offsetof(Qnn_Tensor_t, v1) == 8);
static_assert(sizeof(Qnn_Scalar_t) == 16 && sizeof(Qnn_Param_t) == 160 &&
              offsetof(Qnn_Param_t, tensorParam) == 16);
static_assert(sizeof(Qnn_OpConfigV1_t) == 72 && sizeof(Qnn_OpConfig_t) == 80);
static_assert(sizeof(Qnn_MemShape_t) == 24 && sizeof(Qnn_MemDescriptor_t) == 48 &&
              offsetof(Qnn_MemDescriptor_t, ionInfo) == 32);
static_assert(offsetof(Qnn_TensorV1_t, memType) == 88 && offsetof(Qnn_TensorV1_t, memHandle) == 96);
static_assert(sizeof(QnnContext_Config_t) == 16 && sizeof(QnnGraph_Config_t) == 16);
static_assert(sizeof(QnnDevice_Config_t) == 16 && sizeof(QnnBackend_Config_t) == 16);
static_assert(sizeof(QnnProfile_EventData_t) == 24 &&
              offsetof(QnnProfile_EventData_t, identifier) == 16);
static_assert(sizeof(QnnInterface_ImplementationV2_t) == 568);
static_assert(offsetof(QnnInterface_ImplementationV2_t, contextCreateFromBinary) == 13 * 8);
static_assert(offsetof(QnnInterface_ImplementationV2_t, graphExecute) == 21 * 8);
static_assert(offsetof(QnnInterface_ImplementationV2_t, memRegister) == 35 * 8);
static_assert(offsetof(QnnInterface_ImplementationV2_t, deviceCreate) == 40 * 8);
static_assert(offsetof(QnnInterface_ImplementationV2_t, errorGetMessage) == 48 * 8);
static_assert(sizeof(QnnInterface_t) == 608 && offsetof(QnnInterface_t, v2) == 40);
static_assert(sizeof(QnnSystemContext_GraphInfo_t) == 88 &&
              sizeof(QnnSystemContext_GraphInfoV3_t) == 80);
static_assert(sizeof(QnnSystemContext_BinaryInfoV1_t) == 128 &&
              sizeof(QnnSystemContext_BinaryInfoV3_t) == 136);
static_assert(offsetof(QnnSystemContext_BinaryInfoV3_t, socModel) == 128);
static_assert(sizeof(QnnSystemContext_BinaryInfo_t) == 144);
static_assert(sizeof(QnnSystemInterface_ImplementationV1_t) == 128);
static_assert(sizeof(QnnSystemInterface_t) == 160 && offsetof(QnnSystemInterface_t, v1) == 32);
static_assert(sizeof(QnnHtpDevice_CustomConfig_t) == 16 &&
              offsetof(QnnHtpDevice_CustomConfig_t, socModel) == 8);
static_assert(sizeof(QnnHtpGraph_CustomConfig_t) == 56 &&
              offsetof(QnnHtpGraph_CustomConfig_t, vtcmSizeInMB) == 8);
static_assert(sizeof(QnnHtpContext_CustomConfig_t) == 24);
static_assert(sizeof(QnnDevice_PlatformInfo_t) == 24 &&
              offsetof(QnnDevice_PlatformInfo_t, v1.hwDevices) == 16);
static_assert(sizeof(QnnDevice_HardwareDeviceInfo_t) == 40 &&
              offsetof(QnnDevice_HardwareDeviceInfo_t, v1.deviceInfoExtension) == 32);
static_assert(offsetof(QnnHtpDevice_DeviceInfoExtension_t, socModel) == 16 &&
              offsetof(QnnHtpDevice_DeviceInfoExtension_t, arch) == 24);
static_assert(sizeof(QnnHtpPerfInfrastructure_DcvsV3_t) == 64 &&
              offsetof(QnnHtpPerfInfrastructure_DcvsV3_t, powerMode) == 12 &&
              offsetof(QnnHtpPerfInfrastructure_DcvsV3_t, busVoltageCornerMin) == 36 &&
              offsetof(QnnHtpPerfInfrastructure_DcvsV3_t, coreVoltageCornerMin) == 52);
static_assert(sizeof(QnnHtpPerfInfrastructure_PowerConfig_t) == 68);
static_assert(sizeof(QnnHtpDevice_PerfInfrastructure_t) == 32 &&
              offsetof(QnnHtpDevice_Infrastructure_t, perfInfra) == 8);
static_assert(offsetof(QnnInterface_ImplementationV2_t, deviceGetInfrastructure) == 39 * 8);
static_assert(offsetof(QnnHtpSystemContext_GraphBlobInfoV1_t, vtcmSize) == 16 &&
              offsetof(QnnHtpSystemContext_GraphBlobInfoV1_t, htpDlbc) == 24 &&
              sizeof(QnnHtpSystemContext_GraphBlobInfoV1_t) == 40);
static_assert(sizeof(QhxHtp_GraphBlobInfo2_51_t) == 112 &&
              offsetof(QhxHtp_GraphBlobInfo2_51_t, ownWeightsSize) == 88);
