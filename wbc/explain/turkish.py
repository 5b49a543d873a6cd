"""The reports in Turkish. Numbers keep the decimal point, so that they read the same in every language."""

from __future__ import annotations

from wbc.explain.wording import Wording

TURKISH = Wording(
    language_name="Turkish",
    names={
        "Basophil": "Bazofil",
        "Eosinophil": "Eozinofil",
        "Lymphocyte": "Lenfosit",
        "Monocyte": "Monosit",
        "Neutrophil": "Nötrofil",
    },
    nucleus={
        "Basophil": "iki loblu ya da düzensiz, çoğu zaman granüllerle örtülü",
        "Eosinophil": "genellikle ince bir köprüyle birleşen iki lob",
        "Lymphocyte": "yuvarlak ya da hafif çentikli, yoğun ve kümelenmiş kromatinli",
        "Monocyte": "büyük, kıvrımlı, böbrek ya da at nalı biçimli, dantelsi kromatinli",
        "Neutrophil": "ince köprülerle birleşen iki ila beş lob ya da bant biçimli",
    },
    cytoplasm={
        "Basophil": "çekirdeğin üzerini örten kaba, koyu mavi-mor granüller",
        "Eosinophil": "kaba ve tekdüze turuncu-kırmızı granüllerle dolu",
        "Lymphocyte": "dar, soluk ya da gök mavisi bir kenar",
        "Monocyte": "bol, gri-mavi, ince granüllü, bazen vakuollü",
        "Neutrophil": "soluk pembe, ince leylak rengi granüllü",
    },
    percent="%{}",
    percent_over="%{}'un üzerinde",  # said of 99.9 only, "dokuz'un"
    percent_under="%{}'in altında",  # said of 0.1 only, "bir'in"
    runner_up="ikinci sıradaki sınıf {}",
    prediction="Model bu hücreyi {label} olarak sınıflandırıyor (kalibre edilmiş güven: {confidence}); ikinci sıradaki "
    "sınıf {runner_up} ({runner_up_probability}).",
    focus="Etkinleşme haritasının hücre üzerindeki payı {focus_ratio}, hücrenin karedeki payı {focus_coverage}: "
    "{verdict} (odak kazancı {focus_lift}).",
    focus_more="eşit dağılımda beklenenden fazla",
    focus_no_more="eşit dağılımda beklenenden fazla değil",
    no_focus="Hücre sınırı ölçülemediği için etkinleşme haritasının nerede yoğunlaştığı belirtilmiyor.",
    expected="Beklenen çekirdek: {nucleus}. Beklenen sitoplazma: {cytoplasm}.",
    measured="Ölçülen: çekirdeğin hücre alanındaki payı {nucleus_share}, doluluk oranı {solidity}, {lobes}.",
    one_lobe="dış hatta {} lob",
    lobes="dış hatta {} lob",
    review={
        "low_confidence": "güven düşük",
        "unlike_training": "görüntü eğitim görüntülerine benzemiyor",
        "poor_image": "görüntü kalitesi yetersiz",
        "attention_off_cell": "modelin dikkati hücrenin dışında",
    },
    must_look="Bu hücreyi nitelikli bir uzman mutlaka incelemelidir: {reasons}.",
    not_flagged="İnceleme uyarısı verilmedi.",
    closing="Yalnızca araştırma amaçlıdır; karar nitelikli bir uzmana aittir.",
    fits={
        "yes": "Dil modeline göre bu, beklenen morfolojiyle uyumlu.",
        "partly": "Dil modeline göre bu, beklenen morfolojiyle yalnızca kısmen uyumlu.",
        "no": "Dil modeline göre bu, beklenen morfolojiyle uyumlu değil.",
        "cannot_tell": "Dil modeli bunun beklenen morfolojiyle uyumlu olup olmadığını belirleyemedi.",
    },
)
