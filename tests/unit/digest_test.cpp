#include "engine/io/digest.h"

#include <doctest/doctest.h>

#include "tests/temporary_folder.h"

namespace lookalike {
namespace {

TEST_CASE("SHA-256 gives NIST's values") {
  // FIPS 180-4 examples; CAVP's SHA256ShortMsg.rsp for one byte.
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("\xd3") == "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("MD5 gives the values of RFC 1321") {
  CHECK(md5("") == "d41d8cd98f00b204e9800998ecf8427e");
  CHECK(md5("abc") == "900150983cd24fb0d6963f7d28e17f72");
  CHECK(md5("message digest") == "f96b697d7cb7938d525a2f31aaf161d0");
  CHECK(md5("12345678901234567890123456789012345678901234567890123456789012345678901234567890") ==
        "57edf4a22be3c955ac49da2e2107b67a");
}

TEST_CASE("a file has the digest of its bytes, whatever its length") {
  TemporaryFolder folder;
  for (size_t length : {0, 1, 55, 56, 63, 64, 65, 1 << 20, (1 << 20) + 57}) {
    CAPTURE(length);
    const std::string bytes(length, 'x');
    write_bytes(folder / "f", bytes);
    CHECK(sha256(InputFile(folder / "f")) == sha256(bytes));
    CHECK(md5(InputFile(folder / "f")) == md5(bytes));
  }
}

}  // namespace
}  // namespace lookalike
