;; A filter in the text form of WebAssembly, to show what any language has to bring: it puts a header on every
;; response.
(module
  (import "env" "proxy_add_header_map_value"
    (func $add_header (param $map i32) (param $name i32) (param i32) (param $value i32) (param i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "x-stamphello")
  (func (export "proxy_abi_version_0_2_1"))
  ;; Where the host may put what it hands out; this filter asks for nothing.
  (func (export "malloc") (param $size i32) (result i32) (i32.const 1024))
  (func (export "proxy_on_response_headers") (param $context i32) (param $count i32) (param $end i32) (result i32)
    ;; 2 are the response headers. The answer 0 of both says that all is well.
    (call $add_header (i32.const 2) (i32.const 0) (i32.const 7) (i32.const 7) (i32.const 5))))
